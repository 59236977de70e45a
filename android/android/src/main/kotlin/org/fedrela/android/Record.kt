package org.fedrela.android

import org.fedrela.client.storage.StateFolder
import org.fedrela.core.InvalidInput
import org.fedrela.core.json.Json
import org.fedrela.core.json.json
import org.fedrela.core.json.parseJson
import org.fedrela.core.json.writeJson

private const val KEY = "phone.json"

/** What Android's part remembers between two jobs. */
internal data class Record(val isPaused: Boolean = false, val failures: Int = 0, val last: LastAttempt? = null)

/** What was kept; a new one where it is damaged: nothing in it protects anybody. */
internal fun loadRecord(folder: StateFolder): Record = try {
    folder.get(KEY)?.let { record(members(parseJson(it))) }
} catch (_: InvalidInput) {
    null
} ?: Record()

/** Change what is kept; the owner's word and a job's come from two threads. */
internal fun changeRecord(folder: StateFolder, change: (Record) -> Record): Record = synchronized(folder) {
    change(loadRecord(folder)).also { saveRecord(folder, it) }
}

private fun saveRecord(folder: StateFolder, record: Record) {
    val last = record.last?.let {
        json(
            "at" to json(it.at),
            "end" to json(it.end.name),
            "round" to json(it.round),
            "detail" to json(it.detail),
            "code" to json(it.code),
        )
    }
    val members = json(
        "is_paused" to json(record.isPaused),
        "failures" to json(record.failures.toLong()),
        "last" to (last ?: Json.Null),
    )
    folder.put(KEY, writeJson(members))
}

private fun record(members: Map<String, Json>) = Record(
    (members["is_paused"] as? Json.Bool)?.value ?: false,
    (members["failures"] as? Json.Whole)?.value?.toInt() ?: 0,
    members["last"]?.let { last(members(it)) },
)

private fun last(members: Map<String, Json>): LastAttempt? {
    val end = LastAttempt.End.entries.find { it.name == (members["end"] as? Json.Text)?.value } ?: return null
    return LastAttempt(
        (members["at"] as? Json.Real)?.value ?: 0.0,
        end,
        (members["round"] as? Json.Whole)?.value ?: 0,
        (members["detail"] as? Json.Text)?.value.orEmpty(),
        (members["code"] as? Json.Text)?.value.orEmpty(),
    )
}

private fun members(json: Json): Map<String, Json> = (json as? Json.Members)?.values.orEmpty()
