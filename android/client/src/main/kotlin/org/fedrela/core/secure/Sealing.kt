package org.fedrela.core.secure

// What one member gives another through the coordinator: a share of its own seed and one of its mask key, sealed. The
// key is made for one session and one direction, so it seals one box only.

/** In which session a box goes from whom to whom; members are numbered from 1. */
internal class Address(val session: ByteArray, val sender: Int, val receiver: Int)

/** One member's shares of another member's two secrets, 32 bytes each. */
internal class Shares(val ownSeed: ByteArray, val maskKey: ByteArray)

/** A box that only the receiver opens. `sealKey`: the sender's private key. */
internal fun seal(sealKey: ByteArray, receiverPublicKey: ByteArray, address: Address, shares: Shares): ByteArray =
    sealedBox(boxKey(sealKey, receiverPublicKey, address), shares.ownSeed + shares.maskKey)

/** The shares in a box; null where it is not for this receiver. `sealKey`: the receiver's private key. */
internal fun unseal(sealKey: ByteArray, senderPublicKey: ByteArray, address: Address, box: ByteArray): Shares? =
    openedBox(boxKey(sealKey, senderPublicKey, address), box)
        ?.let { Shares(it.copyOf(KEY_BYTES), it.copyOfRange(KEY_BYTES, it.size)) }

private fun boxKey(privateKey: ByteArray, publicKey: ByteArray, address: Address): ByteArray {
    val direction = byteArrayOf(address.sender.toByte(), address.receiver.toByte())
    val info = "seal".toByteArray(Charsets.UTF_8) + address.session + direction
    return derivedKey(agreed(privateKey, publicKey), info)
}
