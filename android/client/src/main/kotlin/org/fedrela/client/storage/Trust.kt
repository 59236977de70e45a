package org.fedrela.client.storage

import org.fedrela.core.IntegrityError
import org.fedrela.core.json.Fields
import org.fedrela.core.json.json
import org.fedrela.core.json.list
import org.fedrela.core.json.members
import org.fedrela.core.json.natural
import org.fedrela.core.json.parse
import org.fedrela.core.json.text
import org.fedrela.core.json.writeJson
import org.fedrela.core.trust.sha256
import org.fedrela.core.wire.Assignment
import org.fedrela.core.wire.work

private const val KEY = "trust.json"
private const val MOST_TASKS = 256 // whose rounds are remembered; those that came up longest ago are forgotten
private const val REMEDY =
    "somebody sends an old answer, or the coordinator was restored from a backup; tell the operator"

/** The newest round of a task that this device took part in, and the hash of what was asked for. */
internal class NewestRound(val task: String, val round: Long, val work: String)

/** What a device has learned since it enrolled and never unlearns. `epoch` 0: no assignment yet. */
internal class Trust(val epoch: Long, val rounds: List<NewestRound>)

/** What was kept. Throws InvalidInput for a damaged file: it protects the owner, so it isn't begun anew unasked. */
internal fun loadTrust(folder: StateFolder): Trust =
    folder.get(KEY)?.let { members { trust(it) }.parse(it) } ?: Trust(0, emptyList())

internal fun saveTrust(folder: StateFolder, trust: Trust) {
    val rounds = trust.rounds.map {
        json("task" to json(it.task), "round" to json(it.round), "work" to json(it.work))
    }
    folder.put(KEY, writeJson(json("epoch" to json(trust.epoch), "rounds" to json(rounds))))
}

/**
 * What is trusted once a verified assignment is accepted. Throws [IntegrityError] for a lower epoch or an older round.
 */
internal fun admitted(trust: Trust, assignment: Assignment): Trust {
    if (assignment.epoch < trust.epoch)
        throw IntegrityError("the work is of epoch ${assignment.epoch}, and epoch ${trust.epoch} has begun", REMEDY)
    val known = if (assignment.epoch > trust.epoch) emptyList() else trust.rounds
    val asked = NewestRound(taskKey(assignment.taskId), assignment.round, workHash(assignment))
    val newest = known.find { it.task == asked.task }
    if (newest != null && (asked.round < newest.round || (asked.round == newest.round && asked.work != newest.work)))
        throw IntegrityError(
            "the work is of round ${asked.round}, and round ${newest.round} has been here already",
            REMEDY,
        )
    return Trust(assignment.epoch, (known.filter { it.task != asked.task } + asked).takeLast(MOST_TASKS))
}

private fun workHash(assignment: Assignment) = sha256(work(assignment).joinToString("\n").toByteArray(Charsets.UTF_8))

private fun trust(fields: Fields) =
    Trust(fields.required("epoch", natural), fields.required("rounds", list(members { newestRound(it) })))

private fun newestRound(fields: Fields) =
    NewestRound(fields.required("task", text), fields.required("round", natural), fields.required("work", text))
