package org.fedrela.sample.state

import org.fedrela.core.InvalidInput
import org.fedrela.core.json.Json
import org.fedrela.core.json.parseJson

private const val MILLISECONDS = 1000
private const val SHOWN = 200 // of the newest messages; nobody reads more

/** A message that has left the phone. `at`: milliseconds since 1970. */
internal data class SentRow(val at: Long, val kind: Kind, val bytes: Long) {
    enum class Kind { TASKS, JOIN, CHECK_IN, UPDATE, GROUP, FAILURE, EVALUATION, LEAVE, DOWNLOAD, OTHER }
}

/** The newest messages first, and how many older ones are left out. */
internal data class SentRows(val rows: List<SentRow>, val older: Int)

/** What a client's log says. A line that a stop tore is passed over. */
internal fun sentRows(lines: List<String>): SentRows {
    val rows = lines.mapNotNull(::row)
    return SentRows(rows.takeLast(SHOWN).reversed(), maxOf(0, rows.size - SHOWN))
}

/** The rounds whose change was sent, and all bytes. */
internal fun figuresOf(lines: List<String>): Figures {
    val logged = lines.mapNotNull(::logged)
    val updates = logged.map { it.path }.filter { it.endsWith("/update") }
    return Figures(updates.toSet().size, logged.sumOf { it.bytes })
}

/** A line of the log. `at`: seconds since 1970. */
private class Logged(val at: Double, val method: String, val path: String, val bytes: Long)

private fun row(line: String): SentRow? = logged(line)?.let {
    SentRow((MILLISECONDS * it.at).toLong(), kindOf(it.method, it.path), it.bytes)
}

private fun logged(line: String): Logged? {
    val fields = try {
        (parseJson(line.toByteArray(Charsets.UTF_8)) as? Json.Members)?.values.orEmpty()
    } catch (_: InvalidInput) {
        return null
    }
    val at = fields["at"].let { (it as? Json.Real)?.value ?: (it as? Json.Whole)?.value?.toDouble() }
    val (method, path) = (fields["method"] as? Json.Text)?.value to (fields["path"] as? Json.Text)?.value
    val bytes = (fields["bytes"] as? Json.Whole)?.value
    return if (at == null || method == null || path == null || bytes == null) null else Logged(at, method, path, bytes)
}

private fun kindOf(method: String, path: String): SentRow.Kind = when {
    path == "/v1/tasks" -> SentRow.Kind.TASKS
    path == "/v1/devices" -> SentRow.Kind.JOIN
    method == "DELETE" -> SentRow.Kind.LEAVE
    path == "/v1/check-ins" -> SentRow.Kind.CHECK_IN
    "/secure" in path -> SentRow.Kind.GROUP
    path.endsWith("/update") -> SentRow.Kind.UPDATE
    path.endsWith("/failure") -> SentRow.Kind.FAILURE
    path.endsWith("/evaluation") -> SentRow.Kind.EVALUATION
    method == "GET" -> SentRow.Kind.DOWNLOAD
    else -> SentRow.Kind.OTHER
}
