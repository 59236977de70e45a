package org.fedrela.client.training

import org.bouncycastle.crypto.digests.Blake2bDigest
import org.fedrela.core.tensors.Tensors
import org.fedrela.core.trust.hex
import java.nio.ByteBuffer
import java.nio.ByteOrder

private const val DIGEST_BYTES = 16
private const val KEY_BYTES = 8

/**
 * A key for each sample, wherever it lies and whatever its label: a hash of its values over all inputs, and its count
 * among equal samples, the first 1. A row's number names nothing: rows move when others are put in front.
 */
internal fun keysByValues(x: Tensors, samples: Int): LongArray {
    val inputs = x.toSortedMap().values.map { littleEndian(it) }
    val counts = HashMap<String, Long>()
    return LongArray(samples) { row ->
        val digest = Blake2bDigest(8 * DIGEST_BYTES)
        for (bytes in inputs) {
            val width = bytes.size / samples
            digest.update(bytes, row * width, width)
        }
        val values = digest.result()
        val count = (counts[hex(values)] ?: 0L) + 1
        counts[hex(values)] = count
        number(values + littleEndian(longArrayOf(count)))
    }
}

private fun number(body: ByteArray): Long {
    val digest = Blake2bDigest(8 * KEY_BYTES)
    digest.absorb(body)
    return littleEndianNumber(digest.result())
}

internal fun littleEndianNumber(bytes: ByteArray): Long =
    ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getLong()

internal fun Blake2bDigest.absorb(bytes: ByteArray) = update(bytes, 0, bytes.size)

internal fun Blake2bDigest.result(): ByteArray = ByteArray(digestSize).also { doFinal(it, 0) }
