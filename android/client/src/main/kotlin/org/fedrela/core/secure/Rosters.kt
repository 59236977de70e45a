package org.fedrela.core.secure

import org.fedrela.core.IntegrityError
import org.fedrela.core.trust.fromHex
import org.fedrela.core.trust.isSigned

// What a member asks of a roster before it sends anything, and of the messages after it. Every fault is an
// IntegrityError: the turn ends, nothing more is sent, and the owner is told why.

/** What a device knows of its turn before it meets others: from the signed assignment, the task and its own link. */
internal class Terms(
    val assignmentId: String,
    val work: Work,
    val population: String,
    val identityKey: String, // the device's own, public
    val smallestGroup: Int, // the signed task's
    val fleet: String, // the fingerprint of the fleet's key; empty where the link named none
)

/** The end of a turn. */
internal fun refused(problem: String) =
    IntegrityError(problem, "nothing more is sent in this session; ask the operator what happened")

/** The device's own index in a roster that it may work with. Throws [IntegrityError]. */
internal fun checkRoster(roster: Roster, terms: Terms, ownKeys: SecureKeys): Int {
    val count = roster.members.size
    if (count < terms.smallestGroup)
        throw refused("the group has $count members, fewer than the task's ${terms.smallestGroup}")
    if (roster.threshold < threshold(count) || roster.threshold > count)
        throw refused("${roster.threshold} of $count members would be enough to open a secret")
    if (roster.members.map { it.index } != (1..count).toList())
        throw refused("the roster's members aren't numbered from 1 on")
    checkDistinct(roster.members)
    val own = roster.members.find { it.identityKey == terms.identityKey }
        ?: throw refused("the roster leaves this device out")
    if (own.keys != ownKeys || own.assignmentId != terms.assignmentId)
        throw refused("the roster has other keys of this device than it sent")
    for (member in roster.members) checkMember(member, terms)
    return own.index
}

/** One key twice is one device twice, or one that somebody has copied. */
private fun checkDistinct(members: List<RosterMember>) {
    val values = mapOf(
        "identity key" to members.map { it.identityKey },
        "assignment" to members.map { it.assignmentId },
        "key" to members.flatMap { listOf(it.keys.maskKey, it.keys.sealKey) },
    )
    for ((name, all) in values) if (all.toSet().size != all.size) throw refused("the roster has one $name twice")
}

/** Its signature over the device's own work: whoever was given another model has signed something else. */
private fun checkMember(member: RosterMember, terms: Terms) {
    val keys = member.keys
    val statement = keysStatement(terms.work, member.assignmentId, keys.maskKey, keys.sealKey)
    if (!isSigned(member.identityKey, statement, keys.signature))
        throw refused("member ${member.index} has not signed its keys for this device's task and weights")
    for (key in listOf(keys.maskKey, keys.sealKey)) checkAgreementKey(checkNotNull(fromHex(key)))
    if (terms.fleet.isNotEmpty())
        checkCertificate(member.certificate, member.identityKey, terms.population, terms.fleet)
}

/** Throws [IntegrityError] unless enough members have shared, this one among them, and no stranger. */
internal fun checkSenders(senders: List<Int>, index: Int, roster: Roster) {
    checkKnown(senders, roster, "have shared")
    if (index !in senders) throw refused("the inbox leaves this device out")
}

/** Throws [IntegrityError] unless enough senders survive, this device among them, all masked for the same senders. */
internal fun checkSurvivors(proofs: List<MaskedProof>, index: Int, senders: List<Int>, roster: Roster) {
    val survivors = proofs.map { it.index }
    checkKnown(survivors, roster, "survive")
    if (!senders.containsAll(survivors)) throw refused("the survivors are not all among the senders")
    if (index !in survivors) throw refused("the survivors leave this device out")
    val hash = sendersHash(senders)
    for (proof in proofs) checkProof(proof, hash, roster)
}

/** Throws [IntegrityError] unless a member signed that it masked for exactly these senders. */
private fun checkProof(proof: MaskedProof, sendersSha256: String, roster: Roster) {
    if (proof.sendersSha256 != sendersSha256) throw refused("member ${proof.index} masked for other senders")
    val statement = maskedStatement(proof.session, proof.sendersSha256, proof.wordsSha256)
    if (!isSigned(roster.member(proof.index).identityKey, statement, proof.signature))
        throw refused("member ${proof.index} has not signed what it masked")
}

private fun checkKnown(indices: List<Int>, roster: Roster, what: String) {
    if (indices.any { it > roster.members.size }) throw refused("a message names a stranger")
    if (indices.size < roster.threshold)
        throw refused("only ${indices.size} members $what, and ${roster.threshold} are needed")
}
