package org.fedrela.core.secure

import org.bouncycastle.crypto.InvalidCipherTextException
import org.bouncycastle.crypto.digests.SHA256Digest
import org.bouncycastle.crypto.engines.ChaCha7539Engine
import org.bouncycastle.crypto.generators.HKDFBytesGenerator
import org.bouncycastle.crypto.modes.ChaCha20Poly1305
import org.bouncycastle.crypto.params.AEADParameters
import org.bouncycastle.crypto.params.HKDFParameters
import org.bouncycastle.crypto.params.KeyParameter
import org.bouncycastle.crypto.params.ParametersWithIV
import org.bouncycastle.math.ec.rfc7748.X25519
import org.fedrela.core.IntegrityError
import java.math.BigInteger

// The boundary to Bouncy Castle: the four primitives of secure aggregation, on bytes. All keys are 32 bytes. X25519:
// RFC 7748; HKDF-SHA256: RFC 5869; ChaCha20 and ChaCha20-Poly1305: RFC 8439, always with nonce 0, so that a key must
// never encrypt twice.

internal const val KEY_BYTES = 32
internal const val TAG_BYTES = 16
private const val STRIP_BYTES = 65_536 // of a keystream at a time: a pad takes no memory of its own
private val SALT = "fedrela/v1/secure".toByteArray(Charsets.UTF_8)
private val NONCE = ByteArray(12)
private val ZEROS = ByteArray(STRIP_BYTES)
private val PRIME = BigInteger.ONE.shiftLeft(255) - BigInteger.valueOf(19)

// The coordinates of all points of order 1, 2, 4 and 8, on the curve and on its twist: cr.yp.to/ecdh.html#validate
private val SMALL_ORDER = setOf(
    BigInteger.ZERO,
    BigInteger.ONE,
    PRIME - BigInteger.ONE,
    BigInteger("325606250916557431795983626356110631294008115727848805560023387167927233504"),
    BigInteger("39382357235489614581723060781553021112529911719440698176882885853963445705823"),
)

/** The X25519 public key of 32 random bytes. */
internal fun agreementKey(privateKey: ByteArray): ByteArray =
    ByteArray(KEY_BYTES).also { X25519.generatePublicKey(privateKey, 0, it, 0) }

/** The X25519 secret that both sides compute. Throws [IntegrityError] for a key of small order: all would know it. */
internal fun agreed(privateKey: ByteArray, otherPublicKey: ByteArray): ByteArray {
    val secret = ByteArray(KEY_BYTES)
    if (!X25519.calculateAgreement(privateKey, 0, otherPublicKey, 0, secret, 0)) throw smallOrder()
    return secret
}

/** Throws [IntegrityError] for a public key of small order, whatever it would be combined with. */
internal fun checkAgreementKey(key: ByteArray) {
    val number = BigInteger(1, key.reversedArray())
    if (number.clearBit(255).mod(PRIME) in SMALL_ORDER) throw smallOrder()
}

private fun smallOrder() = refused("a member's key gives away every secret made with it")

/** HKDF-SHA256 of `secret`, for the purpose that `info` names; 32 bytes. */
internal fun derivedKey(secret: ByteArray, info: ByteArray): ByteArray {
    val generator = HKDFBytesGenerator(SHA256Digest())
    generator.init(HKDFParameters(secret, SALT, info))
    return ByteArray(KEY_BYTES).also { generator.generateBytes(it, 0, KEY_BYTES) }
}

/**
 * The first `size` bytes of ChaCha20's keystream from counter 0 on, in strips: `use` gets one and how long it is. All
 * but the last are a multiple of 4 bytes long; each is overwritten by the next.
 */
internal fun eachStrip(key: ByteArray, size: Int, use: (strip: ByteArray, length: Int) -> Unit) {
    val stream = Keystream(key)
    val strip = ByteArray(minOf(size, STRIP_BYTES))
    var left = size
    while (left > 0) {
        val length = minOf(left, strip.size)
        stream.next(strip, length)
        use(strip, length)
        left -= length
    }
}

/** ChaCha20's keystream from counter 0 on. */
internal class Keystream(key: ByteArray) {
    private val engine = ChaCha7539Engine().apply { init(true, ParametersWithIV(KeyParameter(key), NONCE)) }

    fun next(into: ByteArray, length: Int) {
        engine.processBytes(ZEROS, 0, length, into, 0)
    }
}

/** ChaCha20-Poly1305 of `plaintext`, `TAG_BYTES` longer. `key` must not seal anything else, ever. */
internal fun sealedBox(key: ByteArray, plaintext: ByteArray): ByteArray = processed(true, key, plaintext)

/** What was sealed; null where a byte was changed or the key is another. */
internal fun openedBox(key: ByteArray, sealed: ByteArray): ByteArray? = try {
    processed(false, key, sealed)
} catch (_: InvalidCipherTextException) {
    null
}

private fun processed(isSealing: Boolean, key: ByteArray, input: ByteArray): ByteArray {
    val cipher = ChaCha20Poly1305()
    cipher.init(isSealing, AEADParameters(KeyParameter(key), 8 * TAG_BYTES, NONCE))
    val output = ByteArray(cipher.getOutputSize(input.size))
    val length = cipher.processBytes(input, 0, input.size, output, 0)
    cipher.doFinal(output, length)
    return output
}
