package org.fedrela.core.wire

import org.fedrela.core.json.Json
import org.fedrela.core.json.json

/** An assignment as a check-in's answer holds it, to be kept. */
internal fun assignmentJson(item: Assignment): Json = json(
    "assignment_id" to json(item.assignmentId),
    "task_id" to json(item.taskId),
    "round" to json(item.round),
    "task_sha256" to json(item.taskSha256),
    "manifest_sha256" to json(item.manifestSha256),
    "checkpoint_sha256" to json(item.checkpointSha256),
    "checkpoint_bytes" to json(item.checkpointBytes),
    "compute_lease_seconds" to json(item.computeLeaseSeconds),
    "upload_lease_seconds" to json(item.uploadLeaseSeconds),
    "upload_token" to json(item.uploadToken),
    "epoch" to json(item.epoch),
    "clip_millionths" to json(item.clipMillionths),
    "signature" to json(item.signature),
    "seal" to (item.seal?.let(::sealJson) ?: Json.Null),
)

private fun sealJson(seal: Seal): Json = json(
    "manifest_sha256" to json(seal.manifestSha256),
    "weights_sha256" to json(seal.weightsSha256),
    "public_key" to json(seal.publicKey),
    "signature" to json(seal.signature),
)
