package org.fedrela.core.numbers

import java.nio.ByteBuffer
import java.nio.ByteOrder
import javax.crypto.Mac
import javax.crypto.spec.SecretKeySpec

private const val ROUNDS = 10
private const val WORD = 0xffffffffL
private const val BLOCK_BYTES = 64 // of SHA-256

/** Random numbers that are the same in every language: words of 32 bits, each in a Long. */
internal class Stream(public val key: LongArray, public val nonce: LongArray)

/** The stream of `secret` for labels: texts, or numbers, which count as their decimal text. */
internal fun derive(secret: ByteArray, vararg labels: Any): Stream {
    val mac = Mac.getInstance("HmacSHA256")
    // An empty key is not taken, and means the same as one of zeros.
    mac.init(SecretKeySpec(if (secret.isEmpty()) ByteArray(BLOCK_BYTES) else secret, "HmacSHA256"))
    for (label in labels) {
        val text = label.toString().toByteArray(Charsets.UTF_8)
        mac.update(ByteBuffer.allocate(Int.SIZE_BYTES).order(ByteOrder.LITTLE_ENDIAN).putInt(text.size).array())
        mac.update(text)
    }
    val digest = ByteBuffer.wrap(mac.doFinal()).order(ByteOrder.LITTLE_ENDIAN)
    fun word(index: Int) = digest.getInt(Int.SIZE_BYTES * index).toLong() and WORD
    return Stream(longArrayOf(word(0), word(1)), longArrayOf(word(2), word(3)))
}

/**
 * Philox4x32-10 (Salmon, Moraes, Dror, Shaw, SC'11) of one counter under a key: four words, written to `out` from `at`.
 */
internal fun philox(counter: LongArray, key: LongArray, out: LongArray, at: Int) {
    var (c0, c1, c2, c3) = counter
    var (k0, k1) = key
    repeat(ROUNDS) {
        val product0 = c0 * 0xd2511f53L
        val product1 = c2 * 0xcd9e8d57L
        c0 = (product1 ushr 32) xor c1 xor k0
        c2 = (product0 ushr 32) xor c3 xor k1
        c1 = product1 and WORD
        c3 = product0 and WORD
        k0 = (k0 + 0x9e3779b9L) and WORD
        k1 = (k1 + 0xbb67ae85L) and WORD
    }
    out[at] = c0
    out[at + 1] = c1
    out[at + 2] = c2
    out[at + 3] = c3
}

/** The first `count` words of a stream. */
internal fun words(stream: Stream, count: Int): LongArray {
    val blocks = (count + 3) / 4
    val out = LongArray(4 * blocks)
    for (block in 0 until blocks)
        philox(longArrayOf(block.toLong(), 0, stream.nonce[0], stream.nonce[1]), stream.key, out, 4 * block)
    return out.copyOf(count)
}

/** `count` numbers in [0, 1) from the start of a stream; arrays take them in row-major order. */
internal fun uniforms(stream: Stream, count: Int): FloatArray {
    val drawn = words(stream, count)
    return FloatArray(count) { (drawn[it] ushr 8).toFloat() / (1 shl 24) }
}

/** A uniformly random order of 0..n-1: by 64-bit keys, the lower number first on a tie. */
internal fun permutation(stream: Stream, n: Int): IntArray {
    val drawn = words(stream, 2 * n)
    // Java compares signed numbers: the highest bit is turned.
    val keys = LongArray(n) { (drawn[2 * it] or (drawn[2 * it + 1] shl 32)) xor Long.MIN_VALUE }
    return (0 until n).sortedBy { keys[it] }.toIntArray()
}
