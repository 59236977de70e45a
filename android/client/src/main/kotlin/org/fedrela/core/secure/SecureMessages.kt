package org.fedrela.core.secure

// What members of a group and the coordinator say to each other. Bytes are lower-case hexadecimal; lists are by index,
// ascending, each index once. Equal messages are equal as values.

internal const val SMALLEST_GROUP = 5
internal const val LARGEST_GROUP = 64

/** Something that belongs to one member. */
internal interface Indexed {
    val index: Int
}

/** That a device belongs to a fleet: its key signed a token's key, and that one the device's identity key. */
internal data class Certificate(
    val fleetKey: String,
    val tokenKey: String,
    val fleetSignature: String,
    val tokenSignature: String,
)

/** A device's new keys for one session, signed by its identity key. */
internal data class SecureKeys(val maskKey: String, val sealKey: String, val signature: String)

/** One member: its keys of this session, and who says so. */
internal data class RosterMember(
    override val index: Int,
    val assignmentId: String,
    val identityKey: String,
    val keys: SecureKeys,
    val certificate: Certificate?,
) : Indexed

/** All members of a group, and how many shares give a secret back. */
internal data class Roster(val threshold: Int, val members: List<RosterMember>) {
    /** The member of that number, once the roster and the number are checked. */
    fun member(index: Int): RosterMember = members[index - 1]
}

/** A box for, or from, member `index`. */
internal data class SealedShares(override val index: Int, val box: String) : Indexed

/** One box for each other member, and what tells the member's own seed when it is rebuilt. */
internal data class SecureShares(val session: String, val commitment: String, val sealed: List<SealedShares>)

/** The boxes for one member, each from another that has shared: these, and itself, are the senders. */
internal data class Inbox(val session: String, val sealed: List<SealedShares>)

/** That a member masked words of that hash for senders of that hash, signed by its identity key. */
internal data class MaskedProof(
    override val index: Int,
    val session: String,
    val sendersSha256: String,
    val wordsSha256: String,
    val signature: String,
) : Indexed

/** Whose masked bodies the coordinator holds. */
internal data class Survivors(val session: String, val proofs: List<MaskedProof>)

/** That a member was told of these survivors, and of no others. */
internal data class SecureAgreement(override val index: Int, val session: String, val signature: String) : Indexed

/** The signatures of those who were told of the same survivors, and perhaps others. */
internal data class Agreements(val session: String, val agreements: List<SecureAgreement>)

/** A share of a secret of member `index`. */
internal data class RevealedShare(override val index: Int, val share: String) : Indexed

/** Shares of survivors' own seeds, and of the mask keys of members that vanished. No member is in both. */
internal data class SecureReveal(val session: String, val own: List<RevealedShare>, val pair: List<RevealedShare>)

/** What a device is to do next in its group. */
internal sealed interface SecureStep {
    data class Wait(val retryAfterSeconds: Double) : SecureStep
    data class Share(val roster: Roster) : SecureStep
    data class Mask(val inbox: Inbox) : SecureStep
    data class Agree(val survivors: Survivors) : SecureStep
    data class Reveal(val agreements: Agreements) : SecureStep

    /** New keys, from the beginning: the group broke up, and nothing was masked. */
    data class Again(val reason: String) : SecureStep
    data class Done(val reason: String) : SecureStep
    data class Closed(val reason: String) : SecureStep
}
