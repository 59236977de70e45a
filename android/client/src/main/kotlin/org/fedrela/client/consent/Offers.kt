package org.fedrela.client.consent

import org.fedrela.client.engine.EngineFactory
import org.fedrela.client.engine.choose
import org.fedrela.core.IntegrityError
import org.fedrela.core.NotEligible
import org.fedrela.core.json.Fields
import org.fedrela.core.json.Read
import org.fedrela.core.json.list
import org.fedrela.core.json.members
import org.fedrela.core.json.parse
import org.fedrela.core.json.positive
import org.fedrela.core.json.text
import org.fedrela.core.program.Manifest
import org.fedrela.core.program.readManifest
import org.fedrela.core.task.Task
import org.fedrela.core.task.readTask
import org.fedrela.core.trust.checkSeal
import org.fedrela.core.trust.fingerprint
import org.fedrela.core.trust.sha256
import org.fedrela.core.wire.checkFeatures
import org.fedrela.core.wire.seal

/** Why a device can't take part in a task. */
public enum class Obstacle { PUBLISHER, FEATURE, RUNTIME }

/**
 * An open task, as an owner is asked about it. `publisher`: the fingerprint of who has signed its program;
 * `obstacle`: why this device can't take part, null where it can.
 */
public class Offer(
    public val name: String,
    public val task: Task,
    public val manifest: Manifest,
    public val checkpointBytes: Long,
    public val publisher: String,
    public val obstacle: Obstacle?,
)

/**
 * The open tasks of an answer. `publishers`: fingerprints of those whose programs this device takes; empty: anybody's.
 * Throws [org.fedrela.core.InvalidInput].
 */
internal fun readOffers(body: ByteArray, publishers: List<String>, runtimes: List<EngineFactory>): List<Offer> {
    val offer: Read<Offer> = members { fields -> offer(fields, publishers, runtimes) }
    return members { fields -> fields.required("tasks", list(offer)) }.parse(body)
}

private fun offer(fields: Fields, publishers: List<String>, runtimes: List<EngineFactory>): Offer {
    val body = fields.required("manifest", text).toByteArray(Charsets.UTF_8)
    val task = readTask(fields.required("task", text).toByteArray(Charsets.UTF_8))
    val (manifest, seal) = readManifest(body) to fields.required("seal", members { seal(it) })
    val publisher = fingerprint(seal.publicKey)
    val obstacle = try {
        checkSeal(seal, sha256(body), publishers.ifEmpty { listOf(publisher) })
        checkFeatures("task", task.requires + manifest.requires)
        choose(manifest, runtimes)
        null
    } catch (_: IntegrityError) {
        Obstacle.PUBLISHER
    } catch (_: NotEligible) {
        if (isUnderstood(task, manifest)) Obstacle.RUNTIME else Obstacle.FEATURE
    }
    val bytes = fields.required("checkpoint_bytes", positive)
    return Offer(fields.required("name", text), task, manifest, bytes, publisher, obstacle)
}

private fun isUnderstood(task: Task, manifest: Manifest): Boolean = try {
    checkFeatures("task", task.requires + manifest.requires)
    true
} catch (_: NotEligible) {
    false
}
