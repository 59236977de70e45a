package org.fedrela.core.secure

import java.nio.ByteBuffer
import java.nio.ByteOrder

// Pads: words that hide a vector. A pair's pad is added by the lower and subtracted by the higher index, so it cancels
// in the sum. A pad is ChaCha20's keystream read as little-endian words of 32 bits; sums wrap around.

/** What hides a vector. `others`: public mask keys of the other senders, by index. */
internal class Pads(
    val ownSeed: ByteArray,
    val maskKey: ByteArray, // the private one
    val index: Int,
    val others: Map<Int, ByteArray>,
    val session: ByteArray,
)

/** The key of the pad that two members share. Throws IntegrityError for a public key of small order. */
internal fun pairKey(maskKey: ByteArray, otherPublicKey: ByteArray, session: ByteArray): ByteArray =
    derivedKey(agreed(maskKey, otherPublicKey), "pair".toByteArray(Charsets.UTF_8) + session)

/** The key of the pad that one member adds. */
internal fun ownKey(ownSeed: ByteArray, session: ByteArray): ByteArray =
    derivedKey(ownSeed, "own".toByteArray(Charsets.UTF_8) + session)

/** A member's vector (d,) as it leaves the device. */
internal fun masked(vector: IntArray, pads: Pads): IntArray {
    val words = vector.copyOf()
    applyPad(words, ownKey(pads.ownSeed, pads.session), 1)
    for ((other, publicKey) in pads.others)
        applyPad(words, pairKey(pads.maskKey, publicKey, pads.session), if (pads.index < other) 1 else -1)
    return words
}

/** Add a pad to `words` (d,), in place (`sign` 1), or take it off (-1). */
internal fun applyPad(words: IntArray, key: ByteArray, sign: Int) {
    var start = 0
    eachStrip(key, Int.SIZE_BYTES * words.size) { strip, length ->
        val pad = ByteBuffer.wrap(strip, 0, length).order(ByteOrder.LITTLE_ENDIAN).asIntBuffer()
        for (at in 0 until pad.remaining()) words[start + at] += sign * pad.get(at)
        start += pad.remaining()
    }
}
