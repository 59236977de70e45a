package org.fedrela.client.storage

import org.fedrela.client.training.Overlay
import org.fedrela.core.InvalidInput
import org.fedrela.core.tensors.TensorSpec
import org.fedrela.core.tensors.Tensors
import org.fedrela.core.tensors.readTensors
import org.fedrela.core.trust.sha256

// What outlives an assignment: labels laid over the data, what top-k still owes, blobs by hash.

private const val TASK_KEY_DIGITS = 32

/** A file name for a task: its id comes from the coordinator and may hold anything. */
internal fun taskKey(taskId: String): String = sha256(taskId.toByteArray(Charsets.UTF_8)).take(TASK_KEY_DIGITS)

/** The task's overlay; null before its first re-labeling, or where the file is damaged. */
internal fun loadOverlay(folder: StateFolder, taskId: String): Overlay? = folder.get(overlayKey(taskId))?.let { body ->
    try {
        Overlay.fromBytes(body)
    } catch (_: InvalidInput) {
        null
    }
}

internal fun saveOverlay(folder: StateFolder, taskId: String, overlay: Overlay) {
    folder.put(overlayKey(taskId), overlay.toBytes())
}

/** What earlier top-k updates of a task dropped; nothing where the file is damaged. */
internal fun loadResidual(folder: StateFolder, taskId: String, specs: List<TensorSpec>): Tensors {
    val body = folder.get(residualKey(taskId)) ?: return emptyMap()
    return try {
        readTensors(body, specs)
    } catch (_: InvalidInput) {
        emptyMap()
    }
}

/** The assignment's update was accepted, so what it dropped is owed now. Repeating it changes nothing. */
internal fun commitResidual(folder: StateFolder, taskId: String) {
    folder.get(RESIDUAL)?.let { folder.put(residualKey(taskId), it) }
}

internal fun forgetTask(folder: StateFolder, key: String) {
    folder.delete("overlays/$key")
    folder.delete("residuals/$key")
}

/** A kept blob whose bytes still match their hash. */
internal fun cached(folder: StateFolder, key: String, hash: String): ByteArray? {
    val body = folder.get(key) ?: return null
    if (sha256(body) == hash) return body
    folder.delete(key)
    return null
}

/** Keep the present global weights; those of earlier rounds go. */
internal fun keepCheckpoint(folder: StateFolder, hash: String, body: ByteArray) {
    folder.keys("checkpoint/").forEach(folder::delete)
    folder.put("checkpoint/$hash", body)
}

private fun overlayKey(taskId: String) = "overlays/${taskKey(taskId)}"

private fun residualKey(taskId: String) = "residuals/${taskKey(taskId)}"
