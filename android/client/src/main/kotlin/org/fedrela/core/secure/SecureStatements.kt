package org.fedrela.core.secure

import org.fedrela.core.trust.hex
import org.fedrela.core.trust.lines
import org.fedrela.core.trust.sha256
import java.security.MessageDigest

// What members sign and hash, as bytes.

/** What a member has trained: all of a group the same, but for their assignments' names. 0: the task's own norm. */
internal data class Work(
    val taskSha256: String,
    val manifestSha256: String,
    val checkpointSha256: String,
    val round: Long,
    val clipMillionths: Long = 0,
)

/** How many shares give a secret back: two thirds of the group and one more, so that no two lists can both pass. */
internal fun threshold(members: Int): Int = 2 * members / 3 + 1

/** Signed by a member's identity key: these keys are mine, for this work. */
internal fun keysStatement(work: Work, assignmentId: String, maskKey: String, sealKey: String): ByteArray = lines(
    "fedrela/v1/secure-keys",
    assignmentId,
    work.taskSha256,
    work.manifestSha256,
    work.checkpointSha256,
    work.round.toString(),
    *listOfNotNull(work.clipMillionths.takeIf { it != 0L }?.toString()).toTypedArray(),
    maskKey,
    sealKey,
)

/** The session's name, 32 bytes: a hash of all that the members must agree on before they send anything secret. */
internal fun sessionName(roster: Roster, work: Work): ByteArray {
    val digest = MessageDigest.getInstance("SHA-256")
    digest.update(lines("fedrela/v1/secure-session", roster.threshold.toString()))
    for (member in roster.members) {
        digest.update(lines(member.index.toString(), member.identityKey))
        digest.update(keysStatement(work, member.assignmentId, member.keys.maskKey, member.keys.sealKey))
    }
    return digest.digest()
}

/** What tells a rebuilt own seed from a wrong one. */
internal fun commitment(session: ByteArray, ownSeed: ByteArray): String =
    sha256("fedrela/v1/secure-own\n".toByteArray(Charsets.UTF_8) + session + ownSeed)

/** The hash of who has sent shares, and so of whose pads are in a masked body. `senders`: ascending. */
internal fun sendersHash(senders: List<Int>): String = sha256(bytes(senders))

/** Signed by a member: I masked these words for the senders of that hash. */
internal fun maskedStatement(session: String, sendersSha256: String, wordsSha256: String): ByteArray =
    lines("fedrela/v1/secure-masked", session, sendersSha256, wordsSha256)

/** Signed by a member: I was told that these survived of those senders, and nothing else. `indices`: ascending. */
internal fun survivorsStatement(session: String, indices: List<Int>, sendersSha256: String): ByteArray =
    lines("fedrela/v1/secure-survivors", session, hex(bytes(indices)), sendersSha256)

/** Signed by a fleet's key: devices that this token's key names belong to the fleet. */
internal fun fleetTokenStatement(population: String, tokenKey: String): ByteArray =
    lines("fedrela/v1/fleet-token", population, tokenKey)

/** Signed by a token's key: this device belongs to the fleet. */
internal fun fleetDeviceStatement(population: String, identityKey: String): ByteArray =
    lines("fedrela/v1/fleet-device", population, identityKey)

private fun bytes(indices: List<Int>): ByteArray = ByteArray(indices.size) { indices[it].toByte() }
