package org.fedrela.client.network

import org.fedrela.client.Event
import org.fedrela.client.storage.Identity
import org.fedrela.client.storage.StateFolder
import org.fedrela.client.storage.admitted
import org.fedrela.client.storage.loadTrust
import org.fedrela.client.storage.saveIdentity
import org.fedrela.client.storage.saveTrust
import org.fedrela.core.IntegrityError
import org.fedrela.core.Refused
import org.fedrela.core.trust.assignmentStatement
import org.fedrela.core.trust.fingerprint
import org.fedrela.core.trust.newestKey
import org.fedrela.core.trust.verify
import org.fedrela.core.wire.Assignment

/**
 * Which assignments a device takes: signed by the pinned key, for this device and this check-in, of no older round.
 * Waits and receipts are not signed: whoever can forge them can as well answer nothing.
 */
internal class Admission(
    private val api: Api,
    private val folder: StateFolder,
    identity: Identity,
    private val tell: (Event) -> Unit,
) {
    /** Who this device is, with the coordinator's key as it is pinned now. */
    var identity: Identity = identity
        private set

    /**
     * Accept the answer to the check-in of that nonce; older rounds are refused from now on. Throws [IntegrityError]
     * where it is forged, another's, or older than what was accepted before.
     */
    fun admit(assignment: Assignment, nonce: String) {
        val statement = assignmentStatement(assignment, identity.deviceId, identity.population, nonce)
        try {
            verify(identity.coordinatorPublicKey, statement, assignment.signature)
        } catch (fault: IntegrityError) {
            followKey(assignment, statement, fault)
        }
        val known = loadTrust(folder)
        val trust = admitted(known, assignment)
        saveTrust(folder, trust)
        if (known.epoch in 1 until trust.epoch)
            tell(Event(Event.Kind.NEW_EPOCH, assignment.taskId, assignment.round, detail = "epoch ${trust.epoch}"))
    }

    /** Pin the key that the pinned one names as its successor, if that has signed; throw `fault` otherwise. */
    private fun followKey(assignment: Assignment, statement: ByteArray, fault: IntegrityError) {
        val key = followedKey(api, fingerprint(identity.coordinatorPublicKey), fault)
        verify(key, statement, assignment.signature)
        identity = identity.copy(coordinatorPublicKey = key)
        saveIdentity(folder, identity)
        tell(Event(Event.Kind.NEW_KEY, assignment.taskId, assignment.round, detail = fingerprint(key)))
    }
}

/**
 * The key that the one of the fingerprint `pinned` leads to. Throws `fault` where the coordinator shows no way there.
 */
internal fun followedKey(api: Api, pinned: String, fault: IntegrityError): String = try {
    newestKey(api.keys(), pinned)
} catch (_: IntegrityError) {
    throw fault
} catch (_: Refused) {
    throw fault
}
