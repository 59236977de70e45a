package org.fedrela.core.trust

import org.bouncycastle.math.ec.rfc8032.Ed25519
import org.fedrela.core.IntegrityError
import java.security.MessageDigest
import java.security.SecureRandom

// Content hashes and Ed25519 signatures (RFC 8032). Keys, hashes and signatures travel as lower-case hexadecimal.

private const val HEX_DIGITS = "0123456789abcdef"
private const val FINGERPRINT_DIGITS = 32

internal fun hex(bytes: ByteArray): String = buildString(2 * bytes.size) {
    for (byte in bytes) append(HEX_DIGITS[(byte.toInt() shr 4) and 15]).append(HEX_DIGITS[byte.toInt() and 15])
}

/** The bytes of lower-case hexadecimal digits; null for anything else. */
public fun fromHex(text: String): ByteArray? {
    if (text.length % 2 != 0 || text.any { it !in HEX_DIGITS }) return null
    return ByteArray(text.length / 2) { text.substring(2 * it, 2 * it + 2).toInt(16).toByte() }
}

/** The SHA-256 of bytes: the name of a blob. */
public fun sha256(body: ByteArray): String = hex(MessageDigest.getInstance("SHA-256").digest(body))

/** A public key in 32 hexadecimal digits, for links and for people. */
internal fun fingerprint(publicKey: String): String =
    sha256(fromHex(publicKey) ?: ByteArray(0)).take(FINGERPRINT_DIGITS)

/** Throws [IntegrityError] unless the hash of the bytes is `expected`. */
internal fun checkHash(body: ByteArray, expected: String, name: String) {
    if (sha256(body) != expected)
        throw IntegrityError("$name does not match its hash ${expected.take(12)}", "the bytes were damaged or forged")
}

/** Whether `signature` over `message` was made by the owner of `publicKey`. */
internal fun isSigned(publicKey: String, message: ByteArray, signature: String): Boolean {
    val (key, signed) = fromHex(publicKey) to fromHex(signature)
    return key?.size == Ed25519.PUBLIC_KEY_SIZE && signed?.size == Ed25519.SIGNATURE_SIZE &&
        Ed25519.verify(signed, 0, key, 0, message, 0, message.size)
}

/** Throws [IntegrityError] unless the signature [isSigned]. */
internal fun verify(publicKey: String, message: ByteArray, signature: String) {
    if (!isSigned(publicKey, message, signature))
        throw IntegrityError("a signature does not match the pinned key", "do not use these bytes")
}

/** The signature of a message by a private key of 32 bytes, in hexadecimal. */
internal fun sign(privateKey: String, message: ByteArray): String {
    val signature = ByteArray(Ed25519.SIGNATURE_SIZE)
    Ed25519.sign(requireNotNull(fromHex(privateKey)), 0, message, 0, message.size, signature, 0)
    return hex(signature)
}

/** The public half of a private key. */
internal fun publicKeyOf(privateKey: String): String {
    val key = ByteArray(Ed25519.PUBLIC_KEY_SIZE)
    Ed25519.generatePublicKey(requireNotNull(fromHex(privateKey)), 0, key, 0)
    return hex(key)
}

/** Random bytes of the system, in hexadecimal: a private key, a secret, a nonce. */
internal fun randomHex(bytes: Int): String = hex(ByteArray(bytes).also { SecureRandom().nextBytes(it) })
