package org.fedrela.client.storage

import org.fedrela.core.InvalidInput
import org.fedrela.core.json.Fields
import org.fedrela.core.json.json
import org.fedrela.core.json.members
import org.fedrela.core.json.parse
import org.fedrela.core.json.real
import org.fedrela.core.json.text
import org.fedrela.core.json.writeJson
import org.fedrela.core.tensors.TensorSpec
import org.fedrela.core.tensors.Tensors
import org.fedrela.core.tensors.checkTensors
import org.fedrela.core.tensors.readTensors
import org.fedrela.core.tensors.writeTensors
import org.fedrela.core.wire.Assignment
import org.fedrela.core.wire.assignment
import org.fedrela.core.wire.assignmentJson

private const val RECORD = "assignment/assignment.json"
private const val SNAPSHOT = "assignment/snapshot"
internal const val UPDATE = "assignment/update"
internal const val RESIDUAL = "assignment/residual"
internal const val EVALUATED = "assignment/evaluated"
internal const val SESSION = "assignment/secure" // of a group, with its secrets

// A task may promise more: no device is held for longer without asking again.
internal const val LONGEST_LEASE_SECONDS = 7 * 86_400.0

/** The assignment under way, when it came by the device's clock, and on which data its snapshot was trained. */
internal data class HeldAssignment(
    val assignment: Assignment,
    val receivedAt: Double,
    val fingerprint: String = "",
    val groupUntil: Double = 0.0, // once it is trained: a group may be waited for until then, whatever the leases say
) {
    /** When training must have ended. */
    val trainUntil: Double get() = receivedAt + minOf(assignment.computeLeaseSeconds, LONGEST_LEASE_SECONDS)

    /** When the upload must have ended. */
    val uploadUntil: Double
        get() = maxOf(trainUntil + minOf(assignment.uploadLeaseSeconds, LONGEST_LEASE_SECONDS), groupUntil)
}

/** Training state after `steps` steps. */
internal class Snapshot(val steps: Int, val carried: Tensors)

/** The assignment under way, if there is one. A damaged record counts as none: its lease will run out. */
internal fun loadAssignment(folder: StateFolder): HeldAssignment? = folder.get(RECORD)?.let { body ->
    try {
        members { held(it) }.parse(body)
    } catch (_: InvalidInput) {
        clearAssignment(folder)
        null
    }
}

internal fun saveAssignment(folder: StateFolder, held: HeldAssignment) {
    val members = json(
        "assignment" to assignmentJson(held.assignment),
        "received_at" to json(held.receivedAt),
        "fingerprint" to json(held.fingerprint),
        "group_until" to json(held.groupUntil),
    )
    folder.put(RECORD, writeJson(members))
}

/** Forget the assignment. Its record goes first: without it nothing else of it is looked at. */
internal fun clearAssignment(folder: StateFolder) {
    for (key in listOf(RECORD, SNAPSHOT, UPDATE, RESIDUAL, EVALUATED, SESSION)) folder.delete(key)
}

internal fun saveSnapshot(folder: StateFolder, snapshot: Snapshot) {
    folder.put(SNAPSHOT, writeTensors(snapshot.carried, mapOf("steps" to snapshot.steps.toString())))
}

/** The kept training state, if it is whole and fits; training starts from the beginning otherwise. */
internal fun loadSnapshot(folder: StateFolder, specs: List<TensorSpec>): Snapshot? {
    val body = folder.get(SNAPSHOT) ?: return null
    try {
        val file = readTensors(body)
        checkTensors(file.tensors, specs)
        val steps = file.metadata["steps"]?.toIntOrNull()
        if (steps != null) return Snapshot(steps, file.tensors)
    } catch (_: InvalidInput) {
        // damaged: as good as none
    }
    deleteSnapshot(folder)
    return null
}

internal fun deleteSnapshot(folder: StateFolder) = folder.delete(SNAPSHOT)

private fun held(fields: Fields) = HeldAssignment(
    assignment = fields.required("assignment", members { assignment(it) }),
    receivedAt = fields.required("received_at", real),
    fingerprint = fields.required("fingerprint", text),
    groupUntil = fields.required("group_until", real),
)
