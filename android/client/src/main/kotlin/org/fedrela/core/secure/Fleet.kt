package org.fedrela.core.secure

import org.fedrela.core.InvalidInput
import org.fedrela.core.trust.fingerprint
import org.fedrela.core.trust.isSigned
import org.fedrela.core.trust.publicKeyOf
import org.fedrela.core.trust.sign
import org.fedrela.core.trust.verify

// The fleet key: kept off the coordinator, so that whoever has the coordinator can't invent devices. Fleet key -> token
// key, whose seed travels in the link's fragment alone -> a device's identity key.

private val PART = Regex("fleet-([0-9a-f]{64})-([0-9a-f]{64})-([0-9a-f]{128})-([A-Za-z0-9._-]{1,100})")

/** What a link says of a fleet: its word for the link's token, and the private key of that token, `tokenSeed`. */
internal class Membership(
    private val fleetKey: String,
    private val signature: String,
    private val tokenSeed: String,
    val population: String,
) {
    /** The fleet key's fingerprint, which a device pins. */
    val fleet: String get() = fingerprint(fleetKey)

    /** A device's certificate, which it makes itself with the token's private key. */
    fun certificate(identityKey: String) = Certificate(
        fleetKey,
        publicKeyOf(tokenSeed),
        signature,
        sign(tokenSeed, fleetDeviceStatement(population, identityKey)),
    )
}

/** What the part of a link holds. Throws [InvalidInput] for none, IntegrityError where the fleet hasn't signed it. */
internal fun readMembership(part: String): Membership {
    val (fleetKey, tokenSeed, signature, population) = PART.matchEntire(part)?.destructured
        ?: throw InvalidInput("that is not what a link says of a fleet", "ask the operator for a new link")
    verify(fleetKey, fleetTokenStatement(population, publicKeyOf(tokenSeed)), signature)
    return Membership(fleetKey, signature, tokenSeed, population)
}

/** Throws IntegrityError unless the fleet of the fingerprint `pinned` vouches for that device in that population. */
internal fun checkCertificate(certificate: Certificate?, identityKey: String, population: String, pinned: String) {
    val isVouched = certificate != null && fingerprint(certificate.fleetKey) == pinned &&
        isSigned(
            certificate.fleetKey,
            fleetTokenStatement(population, certificate.tokenKey),
            certificate.fleetSignature,
        ) &&
        isSigned(certificate.tokenKey, fleetDeviceStatement(population, identityKey), certificate.tokenSignature)
    if (!isVouched) throw refused("a member is not of this device's fleet")
}
