package org.fedrela.vectors

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Order
import org.junit.jupiter.api.Test
import java.io.File

/** Which vectors this client passes, and which it doesn't read yet and why: none is left out in silence. */
@Order(Int.MAX_VALUE)
class VectorsTableTest {
    private val notYet = mapOf(
        Regex("http\\.json") to "played by the conformance server, with the client as a command",
        Regex(".*\\.pte") to "played by the module executorch, on ExecuTorch's Python runtime",
    )

    // What is read, and not to its end.
    private val partly = mapOf(
        "secure/sharing.json" to "passed but for `combine`: a coordinator's part",
        "secure/clipping.json" to "passed but for `following`: a coordinator's part",
        "secure/fixed_point.json" to "passed but for `decode`: a coordinator's part",
    )

    @Test
    fun `every file of the vectors is read, or named here with a reason`() {
        val files = Vectors.folder.walkTopDown().filter { it.isFile }
            .map { it.relativeTo(Vectors.folder).invariantSeparatorsPath }.sorted().toList()
        val reasons = files.associateWith { file -> notYet.entries.find { it.key.matches(file) }?.value }
        fun verdict(file: String) =
            if (file in Vectors.opened) partly[file] ?: "passed" else reasons[file] ?: "NOT READ"
        val table = files.joinToString("\n") { "$it\t${verdict(it)}" }
        File("target/vectors.txt").writeText(table + "\n")
        assertEquals(emptyList<String>(), files.filter { it !in Vectors.opened && reasons[it] == null })
        assertEquals(emptyList<String>(), files.filter { it in Vectors.opened && reasons[it] != null })
        for (reason in notYet.keys) assertEquals(true, files.any(reason::matches), reason.pattern)
    }
}
