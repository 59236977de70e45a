package org.fedrela.core.secure

import org.fedrela.core.json.Json
import org.fedrela.core.json.json

// Messages of a session as JSON: to be sent, and to be kept.

internal fun secureJson(keys: SecureKeys): Json.Members = json(
    "mask_key" to json(keys.maskKey),
    "seal_key" to json(keys.sealKey),
    "signature" to json(keys.signature),
)

internal fun secureJson(shares: SecureShares): Json.Members = json(
    "session" to json(shares.session),
    "commitment" to json(shares.commitment),
    "sealed" to boxes(shares.sealed),
)

internal fun secureJson(agreement: SecureAgreement): Json.Members = json(
    "index" to number(agreement),
    "session" to json(agreement.session),
    "signature" to json(agreement.signature),
)

internal fun secureJson(reveal: SecureReveal): Json.Members =
    json("session" to json(reveal.session), "own" to revealed(reveal.own), "pair" to revealed(reveal.pair))

internal fun secureJson(roster: Roster): Json.Members = json(
    "threshold" to json(roster.threshold.toLong()),
    "members" to json(roster.members.map(::member)),
)

internal fun secureJson(inbox: Inbox): Json.Members =
    json("session" to json(inbox.session), "sealed" to boxes(inbox.sealed))

internal fun secureJson(survivors: Survivors): Json.Members =
    json("session" to json(survivors.session), "proofs" to json(survivors.proofs.map(::secureJson)))

internal fun secureJson(agreements: Agreements): Json.Members = json(
    "session" to json(agreements.session),
    "agreements" to json(agreements.agreements.map { secureJson(it) }),
)

internal fun secureJson(certificate: Certificate): Json.Members = json(
    "fleet_key" to json(certificate.fleetKey),
    "token_key" to json(certificate.tokenKey),
    "fleet_signature" to json(certificate.fleetSignature),
    "token_signature" to json(certificate.tokenSignature),
)

internal fun secureJson(proof: MaskedProof): Json.Members = json(
    "index" to number(proof),
    "session" to json(proof.session),
    "senders_sha256" to json(proof.sendersSha256),
    "words_sha256" to json(proof.wordsSha256),
    "signature" to json(proof.signature),
)

private fun member(member: RosterMember): Json = json(
    "index" to number(member),
    "assignment_id" to json(member.assignmentId),
    "identity_key" to json(member.identityKey),
    "keys" to secureJson(member.keys),
    "certificate" to (member.certificate?.let { secureJson(it) } ?: Json.Null),
)

private fun boxes(sealed: List<SealedShares>): Json =
    json(sealed.map { json("index" to number(it), "box" to json(it.box)) })

private fun revealed(shares: List<RevealedShare>): Json =
    json(shares.map { json("index" to number(it), "share" to json(it.share)) })

private fun number(item: Indexed): Json = json(item.index.toLong())
