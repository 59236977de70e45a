package org.fedrela.core.secure

import org.fedrela.core.InvalidInput
import org.fedrela.core.json.Fields
import org.fedrela.core.json.Read
import org.fedrela.core.json.characters
import org.fedrela.core.json.checkProtocol
import org.fedrela.core.json.choice
import org.fedrela.core.json.id
import org.fedrela.core.json.intFrom
import org.fedrela.core.json.limited
import org.fedrela.core.json.listOf
import org.fedrela.core.json.matching
import org.fedrela.core.json.members
import org.fedrela.core.json.parse
import org.fedrela.core.json.publicKey
import org.fedrela.core.json.realFrom
import org.fedrela.core.json.sha256
import org.fedrela.core.json.signature

// Readers of what a member is told. Each throws InvalidInput.

private val index = intFrom(1, LARGEST_GROUP)
private val agreementKey = hexadecimal(KEY_BYTES, "an X25519 key")
private val box = hexadecimal(2 * KEY_BYTES + TAG_BYTES, "two sealed shares")
private val seconds = realFrom(0.0, 1e9)
private val steps = choice("wait", "share", "mask", "agree", "reveal", "done", "again", "closed")

/** What each step holds beside its name; the steps that end a session hold a reason. */
private val CONTENTS = mapOf(
    "wait" to "retry_after_seconds",
    "share" to "roster",
    "mask" to "inbox",
    "agree" to "survivors",
    "reveal" to "agreements",
)
private const val ENDED = "reason"

/** Throws [InvalidInput] for what is no step, and for one that holds more than it needs. */
internal fun readSecureStep(body: ByteArray): SecureStep = members { secureStep(it) }.parse(body)

private fun secureStep(fields: Fields): SecureStep {
    fields.checkProtocol()
    val step = fields.required("step", steps)
    val present = mapOf(
        "retry_after_seconds" to fields.nullable("retry_after_seconds", seconds)?.let { SecureStep.Wait(it) },
        "roster" to fields.nullable("roster", roster)?.let { SecureStep.Share(it) },
        "inbox" to fields.nullable("inbox", inbox)?.let { SecureStep.Mask(it) },
        "survivors" to fields.nullable("survivors", survivors)?.let { SecureStep.Agree(it) },
        "agreements" to fields.nullable("agreements", agreements)?.let { SecureStep.Reveal(it) },
        ENDED to fields.nullable(ENDED, characters(1, 100))?.let { ended(step, it) },
    ).filterValues { it != null }
    if (present.keys != setOf(CONTENTS[step] ?: ENDED))
        throw InvalidInput("the step '$step' holds something else", "let a step hold what it needs, alone")
    return present.values.single()!!
}

private fun ended(step: String, reason: String): SecureStep = when (step) {
    "again" -> SecureStep.Again(reason)
    "done" -> SecureStep.Done(reason)
    else -> SecureStep.Closed(reason)
}

private fun hexadecimal(bytes: Int, what: String): Read<String> =
    matching("[0-9a-f]{${2 * bytes}}", "$what of ${2 * bytes} lower-case hexadecimal digits")

/** Items of different members, the lowest index first. */
private fun <T : Indexed> byIndex(item: Read<T>, least: Int = 0): Read<List<T>> =
    limited(listOf(item, least, LARGEST_GROUP), "list each member once, the lowest first") { items ->
        items.zipWithNext().all { (one, next) -> one.index < next.index }
    }

private val certificate: Read<Certificate> = members { fields ->
    Certificate(
        fleetKey = fields.required("fleet_key", publicKey),
        tokenKey = fields.required("token_key", publicKey),
        fleetSignature = fields.required("fleet_signature", signature),
        tokenSignature = fields.required("token_signature", signature),
    )
}

internal val secureKeys: Read<SecureKeys> = members { fields ->
    SecureKeys(
        maskKey = fields.required("mask_key", agreementKey),
        sealKey = fields.required("seal_key", agreementKey),
        signature = fields.required("signature", signature),
    )
}

private val rosterMember: Read<RosterMember> = members { fields ->
    RosterMember(
        index = fields.required("index", index),
        assignmentId = fields.required("assignment_id", id),
        identityKey = fields.required("identity_key", publicKey),
        keys = fields.required("keys", secureKeys),
        certificate = fields.nullable("certificate", certificate),
    )
}

internal val roster: Read<Roster> = members { fields ->
    Roster(fields.required("threshold", index), fields.required("members", byIndex(rosterMember, 1)))
}

private val sealedShares: Read<SealedShares> = members { fields ->
    SealedShares(fields.required("index", index), fields.required("box", box))
}

internal val inbox: Read<Inbox> = members { fields ->
    Inbox(fields.required("session", sha256), fields.required("sealed", byIndex(sealedShares)))
}

private val maskedProof: Read<MaskedProof> = members { fields ->
    MaskedProof(
        index = fields.required("index", index),
        session = fields.required("session", sha256),
        sendersSha256 = fields.required("senders_sha256", sha256),
        wordsSha256 = fields.required("words_sha256", sha256),
        signature = fields.required("signature", signature),
    )
}

internal val survivors: Read<Survivors> = members { fields ->
    Survivors(fields.required("session", sha256), fields.required("proofs", byIndex(maskedProof)))
}

private val secureAgreement: Read<SecureAgreement> = members { fields ->
    SecureAgreement(
        index = fields.required("index", index),
        session = fields.required("session", sha256),
        signature = fields.required("signature", signature),
    )
}

internal val agreements: Read<Agreements> = members { fields ->
    Agreements(fields.required("session", sha256), fields.required("agreements", byIndex(secureAgreement)))
}
