package org.fedrela.sample.state

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test

class SentRowsTest {
    private fun line(method: String, path: String, bytes: Int = 10, at: Double = 1.5) =
        """{"at":$at,"method":"$method","path":"$path","bytes":$bytes,"sha256":"00"}"""

    private val lines = listOf(
        line("GET", "/v1/tasks", 0),
        line("POST", "/v1/devices", 300),
        line("POST", "/v1/check-ins", 200),
        line("GET", "/v1/blobs/00", 0),
        line("PUT", "/v1/assignments/a/secure/keys"),
        line("PUT", "/v1/assignments/a/update", 1000),
        line("PUT", "/v1/assignments/a/update", 1000), // repeated: the same change
        line("POST", "/v1/assignments/b/failure"),
        line("POST", "/v1/assignments/b/evaluation"),
        line("DELETE", "/v1/devices/self", 0),
    )

    @Test
    fun `every message has a name, the newest first`() {
        val kinds = sentRows(lines).rows.map { it.kind }.reversed().distinct()
        assertEquals(SentRow.Kind.entries.toSet() - SentRow.Kind.OTHER, kinds.toSet())
        assertEquals(SentRow(1500, SentRow.Kind.LEAVE, 0), sentRows(lines).rows.first())
    }

    @Test
    fun `a round counts once, however often its change was sent`() {
        assertEquals(Figures(rounds = 1, sentBytes = 2530), figuresOf(lines))
    }

    @Test
    fun `a torn line is passed over`() {
        assertEquals(sentRows(lines), sentRows(lines + """{"at":2.0,"meth"""))
    }

    @Test
    fun `older messages than anybody reads are counted`() {
        val sent = sentRows(List(205) { line("POST", "/v1/check-ins", at = it + 0.5) })
        assertEquals(5, sent.older)
        assertEquals(204_500L, sent.rows.first().at)
    }
}
