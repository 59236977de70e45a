package org.fedrela.client.network

import org.fedrela.client.storage.Identity
import org.fedrela.client.storage.StateFolder
import org.fedrela.client.storage.loadIdentity
import org.fedrela.client.storage.saveIdentity
import org.fedrela.core.IntegrityError
import org.fedrela.core.InvalidInput
import org.fedrela.core.secure.readMembership
import org.fedrela.core.trust.Link
import org.fedrela.core.trust.enrollmentStatement
import org.fedrela.core.trust.fingerprint
import org.fedrela.core.trust.publicKeyOf
import org.fedrela.core.trust.randomHex
import org.fedrela.core.trust.sign
import org.fedrela.core.wire.enrollRequest

private const val KEY_BYTES = 32

/**
 * Join the coordinator of a link, if it holds the key that the link names. An enrollment that was cut off is safe to
 * repeat: the device's own key is kept before anything is sent. `secret` is made at random unless given. Throws
 * [InvalidInput] where the device has enrolled already, [IntegrityError], with nothing kept of the answer, where
 * another key answers.
 */
internal fun enroll(api: Api, folder: StateFolder, link: Link, secret: String?): Identity {
    val earlier = loadIdentity(folder)
    if (earlier != null && earlier.isEnrolled)
        throw InvalidInput("this device has already enrolled at ${earlier.url}", "leave first")
    if (earlier == null) forgetStranger(folder)
    val member = link.fleet.takeIf { it.isNotEmpty() }?.let(::readMembership)
    val begun = Identity(
        url = link.url,
        privateKey = earlier?.privateKey ?: randomHex(KEY_BYTES),
        secret = secret ?: earlier?.secret ?: randomHex(KEY_BYTES),
        publishers = link.publishers,
        fleet = member?.fleet.orEmpty(),
    )
    saveIdentity(folder, begun)
    val publicKey = publicKeyOf(begun.privateKey)
    val proof = sign(begun.privateKey, enrollmentStatement(link.token, publicKey, link.coordinator))
    val answer = api.enroll(enrollRequest(link, publicKey, proof, member?.certificate(publicKey)))
    checkPinned(api, answer.coordinatorPublicKey, link.coordinator)
    if (member != null && answer.population != member.population)
        throw IntegrityError(
            "the link is for the population ${member.population}, the coordinator says ${answer.population}",
            "nothing was kept of its answer; ask the operator for a new link",
        )
    val identity = begun.copy(
        deviceId = answer.deviceId,
        deviceToken = answer.deviceToken,
        coordinatorPublicKey = answer.coordinatorPublicKey,
        population = answer.population,
    )
    saveIdentity(folder, identity)
    return identity
}

/** What lies in a folder without an identity is of a device whose keys are gone: its record of what it sent stays. */
private fun forgetStranger(folder: StateFolder) {
    for (key in folder.keys()) if (!key.startsWith("log/") && !key.startsWith("last/")) folder.delete(key)
}

/** Throws [IntegrityError] unless a key is the one that a link names, or follows it. */
private fun checkPinned(api: Api, publicKey: String, pinned: String) {
    if (fingerprint(publicKey) == pinned) return
    val fault = IntegrityError(
        "the coordinator's key is not the link's",
        "somebody may be on the way between you: nothing was kept; ask the operator",
    )
    if (followedKey(api, pinned, fault) != publicKey) throw fault
}
