package org.fedrela.core.trust

import org.fedrela.core.wire.Assignment
import org.fedrela.core.wire.Seal
import org.fedrela.core.wire.work

// What keys sign, as bytes.

/** An assignment as it is signed: all but its upload token, a secret, and bound to the check-in that it answers. */
internal fun assignmentStatement(
    item: Assignment,
    deviceId: String,
    population: String,
    nonce: String,
): ByteArray = lines(
    "fedrela/v1/assignment",
    deviceId,
    population,
    nonce,
    item.epoch.toString(),
    item.assignmentId,
    *work(item).toTypedArray(),
    milliseconds(item.computeLeaseSeconds),
    milliseconds(item.uploadLeaseSeconds),
)

/** A proof that whoever enrolls holds the private half of `publicKey`. `coordinator`: the link's fingerprint. */
internal fun enrollmentStatement(token: String, publicKey: String, coordinator: String): ByteArray =
    lines("fedrela/v1/enrollment", token, publicKey, coordinator)

/** That `publicKey` takes the place of `formerKey`. */
internal fun keyRotationStatement(formerKey: String, publicKey: String): ByteArray =
    lines("fedrela/v1/key-rotation", fingerprint(formerKey), publicKey)

/** That a publisher vouches for a bundle. */
internal fun sealStatement(seal: Seal): ByteArray = lines("fedrela/v1/bundle", seal.manifestSha256, seal.weightsSha256)

/** The nearest whole number, halves up: the same in every language. */
private fun milliseconds(seconds: Double): String = Math.floor(1000 * seconds + 0.5).toLong().toString()

/** Lines of text, each ended by a line feed, as bytes. */
internal fun lines(vararg parts: String): ByteArray = parts.joinToString("") { "$it\n" }.toByteArray(Charsets.UTF_8)
