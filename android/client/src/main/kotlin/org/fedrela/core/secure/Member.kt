package org.fedrela.core.secure

import org.fedrela.core.tensors.IntTensor
import org.fedrela.core.tensors.writeTensors
import org.fedrela.core.trust.fromHex
import org.fedrela.core.trust.hex
import org.fedrela.core.trust.isSigned
import org.fedrela.core.trust.sha256
import org.fedrela.core.trust.sign
import org.fedrela.core.wire.PROTOCOL
import java.nio.ByteBuffer
import java.nio.ByteOrder

// A device's side of a session: each step from the last one's state and a message to a new state and an answer.
//
//     offered -> share(roster) -> mask(inbox, vector) -> agree(survivors) -> reveal(agreements)
//
// An answer depends on nothing but the state and the message, so a device that kept its state before it sent, and was
// killed, sends the same bytes again; the same message may come twice, another one of its kind is refused. Refusals are
// IntegrityError: the session is over, and its secrets are to be deleted. No clock, no storage, no randomness but
// `Secrets`.

/**
 * Four times 32 random bytes in hexadecimal, new for each session and never derived from another secret: X25519 private
 * keys, what makes the pad of this member alone, and what makes the coefficients of what is shared.
 */
internal data class Secrets(val maskKey: String, val sealKey: String, val ownSeed: String, val polynomials: String)

/** Where a device stands: what it was told, each message once. */
internal data class Member(
    val terms: Terms,
    val secrets: Secrets,
    val keys: SecureKeys,
    val roster: Roster? = null,
    val inbox: Inbox? = null,
    val wordsSha256: String = "", // of the masked vector: two behind the same pads would show their difference
    val survivors: Survivors? = null,
    val agreements: Agreements? = null,
)

/** A member's new state, and what it sends. */
internal data class Answer<T>(val member: Member, val message: T)

/** A masked vector: the upload's body, and what proves it. */
internal class Masked(val body: ByteArray, val proof: MaskedProof)

/** The roster, the own index in it, and the session's name as bytes and as text. */
private class Session(val roster: Roster, val index: Int, val bytes: ByteArray) {
    val name: String = hex(bytes)
}

/** The state to begin with; its `keys` are what is sent first. */
internal fun offered(terms: Terms, secrets: Secrets, identityPrivateKey: String): Member {
    val (maskKey, sealKey) = listOf(secrets.maskKey, secrets.sealKey).map { hex(agreementKey(bytes(it))) }
    val signature = sign(identityPrivateKey, keysStatement(terms.work, terms.assignmentId, maskKey, sealKey))
    return Member(terms, secrets, SecureKeys(maskKey, sealKey, signature))
}

/** Check who the others are, and give each of them a share of this member's two secrets. */
internal fun share(member: Member, roster: Roster): Answer<SecureShares> {
    once(member.roster, roster, "roster")
    val index = checkRoster(roster, member.terms, member.keys)
    val session = sessionName(roster, member.terms.work)
    val shares = dealt(member.secrets, session, roster)
    val sealed = roster.members.filter { it.index != index }.map { other ->
        val address = Address(session, index, other.index)
        val box = seal(bytes(member.secrets.sealKey), bytes(other.keys.sealKey), address, shares[other.index - 1])
        SealedShares(other.index, hex(box))
    }
    val commitment = commitment(session, bytes(member.secrets.ownSeed))
    return Answer(member.copy(roster = roster), SecureShares(hex(session), commitment, sealed))
}

/** Hide the vector (d,) behind this member's own pad and one for each other sender. */
internal fun mask(member: Member, inbox: Inbox, vector: IntArray, identityPrivateKey: String): Answer<Masked> {
    once(member.inbox, inbox, "inbox")
    val session = sessionOf(member)
    val senders = sendersOf(inbox, session.index)
    checkSession(inbox.session, session)
    checkSenders(senders, session.index, session.roster)
    val words = masked(vector, pads(member.secrets, senders, session))
    val wordsSha256 = sha256(littleEndian(words))
    if (member.wordsSha256.isNotEmpty() && wordsSha256 != member.wordsSha256)
        throw refused("a second vector was to be masked in one session")
    val hash = sendersHash(senders)
    val signature = sign(identityPrivateKey, maskedStatement(session.name, hash, wordsSha256))
    val metadata = mapOf(
        "protocol" to PROTOCOL.toString(),
        "encoding" to "masked",
        "session" to session.name,
        "senders_sha256" to hash,
        "signature" to signature,
    )
    val body = writeTensors(mapOf("masked" to IntTensor(listOf(words.size), words)), metadata)
    val proof = MaskedProof(session.index, session.name, hash, wordsSha256, signature)
    return Answer(member.copy(inbox = inbox, wordsSha256 = wordsSha256), Masked(body, proof))
}

/** Sign which survivors this member was told of, so that no two members can be told of different ones. */
internal fun agree(member: Member, survivors: Survivors, identityPrivateKey: String): Answer<SecureAgreement> {
    val inbox = member.inbox ?: throw refused("survivors came before the inbox")
    once(member.survivors, survivors, "list of survivors")
    val session = sessionOf(member)
    val senders = sendersOf(inbox, session.index)
    for (name in survivors.proofs.map { it.session } + survivors.session) checkSession(name, session)
    checkSurvivors(survivors.proofs, session.index, senders, session.roster)
    val statement = survivorsStatement(session.name, indicesOf(survivors), sendersHash(senders))
    val agreement = SecureAgreement(session.index, session.name, sign(identityPrivateKey, statement))
    return Answer(member.copy(survivors = survivors), agreement)
}

/**
 * If enough members signed this member's own list: its shares of survivors' own seeds and of the others' mask keys. A
 * box that doesn't open is left out; the others hold shares enough.
 */
internal fun reveal(member: Member, told: Agreements): Answer<SecureReveal> {
    val inbox = member.inbox ?: throw refused("agreements came before the inbox")
    val survivors = indicesOf(member.survivors ?: throw refused("agreements came before the survivors"))
    val agreements = member.agreements ?: told // more signatures may come the second time; the answer is the same
    val session = sessionOf(member)
    checkSession(agreements.session, session)
    val senders = sendersOf(inbox, session.index)
    val statement = survivorsStatement(session.name, survivors, sendersHash(senders))
    val signers = agreements.agreements.count { one ->
        one.index in survivors && isSigned(session.roster.member(one.index).identityKey, statement, one.signature)
    }
    if (signers < session.roster.threshold)
        throw refused("only $signers members agree on the survivors, and ${session.roster.threshold} are needed")
    val held = heldShares(member.secrets, inbox, session)
    fun revealed(indices: List<Int>, secret: (Shares) -> ByteArray) =
        indices.mapNotNull { index -> held[index]?.let { RevealedShare(index, hex(secret(it))) } }
    val message = SecureReveal(
        session.name,
        revealed(survivors) { it.ownSeed },
        revealed(senders - survivors.toSet()) { it.maskKey },
    )
    return Answer(member.copy(agreements = agreements), message)
}

private fun pads(secrets: Secrets, senders: List<Int>, session: Session): Pads {
    val others = (senders - session.index).associateWith { bytes(session.roster.member(it).keys.maskKey) }
    return Pads(bytes(secrets.ownSeed), bytes(secrets.maskKey), session.index, others, session.bytes)
}

/** Every member's shares, this one's among them. */
private fun dealt(secrets: Secrets, session: ByteArray, roster: Roster): List<Shares> {
    val size = KEY_BYTES * (roster.threshold - 1)
    val key = derivedKey(bytes(secrets.polynomials), "coefficients".toByteArray(Charsets.UTF_8) + session)
    val coefficients = ByteArray(2 * size).also { Keystream(key).next(it, it.size) }
    fun of(secret: String, from: Int) =
        split(bytes(secret), roster.threshold, roster.members.size, coefficients.copyOfRange(from, from + size))
    return of(secrets.ownSeed, 0).zip(of(secrets.maskKey, size)) { ownSeed, maskKey -> Shares(ownSeed, maskKey) }
}

/** The shares that this member holds, by whose secrets they are. */
private fun heldShares(secrets: Secrets, inbox: Inbox, session: Session): Map<Int, Shares> {
    val held = HashMap<Int, Shares>()
    held[session.index] = dealt(secrets, session.bytes, session.roster)[session.index - 1]
    for (one in inbox.sealed) {
        val address = Address(session.bytes, one.index, session.index)
        val sender = bytes(session.roster.member(one.index).keys.sealKey)
        unseal(bytes(secrets.sealKey), sender, address, bytes(one.box))?.let { held[one.index] = it }
    }
    return held
}

/** Who has shared, ascending. A box from oneself is no box: the coordinator says who else is there. */
private fun sendersOf(inbox: Inbox, index: Int): List<Int> {
    val others = inbox.sealed.map { it.index }
    if (index in others) throw refused("the inbox has a box from this device to itself")
    return (others + index).sorted()
}

private fun indicesOf(survivors: Survivors): List<Int> = survivors.proofs.map { it.index }

private fun sessionOf(member: Member): Session {
    val roster = member.roster ?: throw refused("a message came before the roster")
    val index = roster.members.single { it.identityKey == member.terms.identityKey }.index
    return Session(roster, index, sessionName(roster, member.terms.work))
}

private fun checkSession(name: String, session: Session) {
    if (name != session.name) throw refused("a message is of another session")
}

private fun once(known: Any?, message: Any, what: String) {
    if (known != null && known != message) throw refused("a second $what came in one session")
}

private fun littleEndian(words: IntArray): ByteArray {
    val bytes = ByteBuffer.allocate(Int.SIZE_BYTES * words.size).order(ByteOrder.LITTLE_ENDIAN)
    words.forEach { bytes.putInt(it) }
    return bytes.array()
}

private fun bytes(hexadecimal: String): ByteArray = checkNotNull(fromHex(hexadecimal))
