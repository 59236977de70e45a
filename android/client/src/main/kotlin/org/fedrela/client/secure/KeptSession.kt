package org.fedrela.client.secure

import org.fedrela.client.storage.SESSION
import org.fedrela.client.storage.StateFolder
import org.fedrela.core.InvalidInput
import org.fedrela.core.json.Fields
import org.fedrela.core.json.Json
import org.fedrela.core.json.json
import org.fedrela.core.json.members
import org.fedrela.core.json.natural
import org.fedrela.core.json.parse
import org.fedrela.core.json.sha256
import org.fedrela.core.json.tableOf
import org.fedrela.core.json.text
import org.fedrela.core.json.writeJson
import org.fedrela.core.secure.Ledger
import org.fedrela.core.secure.Member
import org.fedrela.core.secure.Secrets
import org.fedrela.core.secure.Terms
import org.fedrela.core.secure.agreements
import org.fedrela.core.secure.entered
import org.fedrela.core.secure.inbox
import org.fedrela.core.secure.roster
import org.fedrela.core.secure.secureJson
import org.fedrela.core.secure.secureKeys
import org.fedrela.core.secure.survivors
import org.fedrela.core.wire.Assignment

// What a device keeps of secure rounds: the session, stored before each send, so that a device that was killed sends
// the same bytes; and, for as long as it is enrolled, which rounds it has masked for.

private const val MASKED = "masked-rounds.json"
private const val MOST_ENTRIES = 4096

/** Keep where a device stands; its terms come again from its assignment. */
internal fun keepSession(folder: StateFolder, member: Member) {
    val members = listOfNotNull(
        "secrets" to secretsJson(member.secrets),
        "keys" to secureJson(member.keys),
        member.roster?.let { "roster" to secureJson(it) },
        member.inbox?.let { "inbox" to secureJson(it) },
        "words_sha256" to json(member.wordsSha256),
        member.survivors?.let { "survivors" to secureJson(it) },
        member.agreements?.let { "agreements" to secureJson(it) },
    )
    folder.put(SESSION, writeJson(json(*members.toTypedArray<Pair<String, Json>>())))
}

/** Where the device stood; null where there is no session, or its record is damaged: it can't be gone on with. */
internal fun keptSession(folder: StateFolder, terms: Terms): Member? = folder.get(SESSION)?.let { body ->
    try {
        members { fields -> member(fields, terms) }.parse(body)
    } catch (_: InvalidInput) {
        folder.delete(SESSION)
        null
    }
}

/** Throws IntegrityError where this device has masked for the round, or too often from its weights. */
internal fun checkMasked(folder: StateFolder, assignment: Assignment) {
    enteredRound(loadLedger(folder), assignment)
}

/** Keep that the device masks for the round, before it sends. Noting it again, in that round, changes nothing. */
internal fun noteMasked(folder: StateFolder, assignment: Assignment) {
    val known = loadLedger(folder)
    if ((known.rounds[assignment.taskId] ?: 0L) >= assignment.round) return
    val ledger = enteredRound(known, assignment)
    folder.put(MASKED, writeJson(json("rounds" to table(ledger.rounds), "checkpoints" to table(ledger.checkpoints))))
}

private fun enteredRound(known: Ledger, assignment: Assignment): Ledger =
    entered(known, assignment.taskId, assignment.round, assignment.checkpointSha256)

/** Throws InvalidInput for a damaged file: it protects the owner, so it isn't begun anew unasked. */
private fun loadLedger(folder: StateFolder): Ledger = folder.get(MASKED)?.let { body ->
    members { Ledger(it.required("rounds", entries), it.required("checkpoints", entries)) }.parse(body)
} ?: Ledger()

private val entries = tableOf(natural, MOST_ENTRIES)

private fun table(entries: Map<String, Long>): Json = json(*entries.map { it.key to json(it.value) }.toTypedArray())

private fun member(fields: Fields, terms: Terms) = Member(
    terms = terms,
    secrets = fields.required("secrets", members { secrets(it) }),
    keys = fields.required("keys", secureKeys),
    roster = fields.nullable("roster", roster),
    inbox = fields.nullable("inbox", inbox),
    wordsSha256 = fields.required("words_sha256", text),
    survivors = fields.nullable("survivors", survivors),
    agreements = fields.nullable("agreements", agreements),
)

private fun secrets(fields: Fields) = Secrets(
    maskKey = fields.required("mask_key", sha256),
    sealKey = fields.required("seal_key", sha256),
    ownSeed = fields.required("own_seed", sha256),
    polynomials = fields.required("polynomials", sha256),
)

private fun secretsJson(secrets: Secrets): Json = json(
    "mask_key" to json(secrets.maskKey),
    "seal_key" to json(secrets.sealKey),
    "own_seed" to json(secrets.ownSeed),
    "polynomials" to json(secrets.polynomials),
)
