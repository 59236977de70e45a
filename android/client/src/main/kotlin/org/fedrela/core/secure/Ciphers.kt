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

// A private key that changes no public key: -1 modulo the order of the base point (RFC 7748, section 4.1), and a
// multiple of 8 like every private key.
private val BASE_POINT_ORDER = BigInteger.ONE.shiftLeft(252) + BigInteger("27742317777372353535851937790883648493")
private val MINUS_ONE = (BASE_POINT_ORDER * BigInteger.valueOf(5) - BigInteger.ONE).toByteArray().reversedArray()

/** The X25519 public key of 32 random bytes. */
internal fun agreementKey(privateKey: ByteArray): ByteArray =
    ByteArray(KEY_BYTES).also { X25519.generatePublicKey(privateKey, 0, it, 0) }

/** The X25519 secret that both sides compute. Throws [IntegrityError] for a key of small order: all would know it. */
internal fun agreed(privateKey: ByteArray, otherPublicKey: ByteArray): ByteArray {
    val secret = ByteArray(KEY_BYTES)
    if (!X25519.calculateAgreement(privateKey, 0, otherPublicKey, 0, secret, 0))
        throw refused("a member's key gives away every secret made with it")
    return secret
}

/**
 * Throws [IntegrityError] for a key that belongs to no private key. X25519 takes any 32 bytes, and some agree on the
 * same secrets as another member's key without being equal to it: written in another way, or with a point of small
 * order added. Two such members would have one pad with a third, added and taken off. Minus a point has the point's own
 * coordinate, and eight times a point has no part of small order, so that of all keys only those of private keys stay
 * as they are.
 */
internal fun checkAgreementKey(key: ByteArray) {
    if (!agreed(MINUS_ONE, key).contentEquals(key))
        throw refused("a member's key is no private key's, but may be another member's in disguise")
}

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
