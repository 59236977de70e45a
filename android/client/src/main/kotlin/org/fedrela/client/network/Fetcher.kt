package org.fedrela.client.network

import org.fedrela.client.Settings
import org.fedrela.client.engine.Engine
import org.fedrela.client.engine.EngineFactory
import org.fedrela.client.engine.checkSizes
import org.fedrela.client.engine.choose
import org.fedrela.client.engine.selfTest
import org.fedrela.client.storage.Kept
import org.fedrela.client.storage.StateFolder
import org.fedrela.client.storage.cached
import org.fedrela.client.storage.keep
import org.fedrela.client.storage.keepCheckpoint
import org.fedrela.client.storage.taskKey
import org.fedrela.core.IntegrityError
import org.fedrela.core.json.MOST_JSON_BYTES
import org.fedrela.core.program.Manifest
import org.fedrela.core.program.readManifest
import org.fedrela.core.secure.clipNorm
import org.fedrela.core.task.Task
import org.fedrela.core.task.readTask
import org.fedrela.core.tensors.Tensors
import org.fedrela.core.tensors.readTensors
import org.fedrela.core.trust.checkSeal
import org.fedrela.core.wire.Assignment
import org.fedrela.core.wire.checkFeatures

private const val TASK_BYTES = 1_000_000L
private const val MANIFEST_BYTES = MOST_JSON_BYTES.toLong()
private const val HEADER_BYTES_PER_TENSOR = 1024L // of safetensors, generously

/** An assignment that was admitted: what to do, on which engine, from which global weights. */
internal class Job(
    val assignment: Assignment,
    val task: Task,
    val engine: Engine,
    val weights: Tensors,
) : AutoCloseable {
    override fun close() = engine.close()
}

/**
 * From an assignment to something that can be trained. Nothing is loaded before it is verified: the programs by the key
 * of a pinned publisher, every blob by its hash, the runtime by the golden steps.
 */
internal class Fetcher(
    private val downloads: Downloads,
    private val folder: StateFolder,
    private val runtimes: List<EngineFactory>,
    private val publishers: List<String>,
    private val settings: Settings,
) {
    /** Throws whatever is wrong with the assignment, with nothing loaded. */
    fun job(assignment: Assignment): Job {
        val task = task(assignment)
        val manifest = readManifest(blob(assignment.manifestSha256, MANIFEST_BYTES))
        checkFeatures("manifest", manifest.requires)
        checkSizes(manifest, settings.maxDownloadBytes)
        val runtime = choose(manifest, runtimes)
        keep(folder, kept(assignment, manifest, runtime), settings.maxTasks)
        val engine = open(manifest, runtime)
        try {
            test(assignment.manifestSha256, engine, runtime)
            return Job(assignment, task, engine, readTensors(checkpoint(assignment, manifest), manifest.weights))
        } catch (fault: Throwable) {
            engine.close()
            throw fault
        }
    }

    /**
     * What an assignment asks for, of a task that can have it. Nothing is fetched unless a pinned publisher has sealed
     * its program.
     */
    fun task(assignment: Assignment): Task {
        if (publishers.isNotEmpty()) checkSeal(assignment.seal, assignment.manifestSha256, publishers)
        val task = readTask(blob(assignment.taskSha256, TASK_BYTES))
        checkFeatures("task", task.requires)
        clipNorm(task.privacy, assignment.clipMillionths)
        return task
    }

    private fun open(manifest: Manifest, runtime: EngineFactory): Engine {
        val programs = manifest.programs.mapValues { (_, program) ->
            val file = checkNotNull(program.file(runtime.name))
            blob(file.sha256, file.sizeBytes.toLong())
        }
        return runtime.open(manifest, programs)
    }

    /** Run the golden steps, once per bundle and version of the runtime. */
    private fun test(manifestSha256: String, engine: Engine, runtime: EngineFactory) {
        val version = runtime.version.map { if (it in 'a'..'z' || it in '0'..'9') it else '-' }.joinToString("")
        val key = "self-tests/$manifestSha256-${runtime.name}-$version"
        if (folder.get(key) != null) return
        val golden = engine.manifest.golden
        selfTest(engine, blob(golden.sha256, golden.sizeBytes.toLong()))
        folder.put(key, ByteArray(0))
    }

    /** The global weights' bytes: downloaded each round, and only those of the newest round kept. */
    private fun checkpoint(assignment: Assignment, manifest: Manifest): ByteArray {
        val most = HEADER_BYTES_PER_TENSOR + manifest.weights.sumOf { spec ->
            val size = spec.shape.fold(1L) { product, dimension -> product * dimension }
            4 * size + HEADER_BYTES_PER_TENSOR + spec.name.length
        }
        if (assignment.checkpointBytes > most)
            throw IntegrityError(
                "more bytes are announced than the model needs",
                "nothing was loaded; tell the operator",
            )
        val hash = assignment.checkpointSha256
        return cached(folder, "checkpoint/$hash", hash)
            ?: downloads.blob(hash, assignment.checkpointBytes).also { keepCheckpoint(folder, hash, it) }
    }

    /** A blob of this device or the coordinator; its bytes match its name. */
    private fun blob(hash: String, mostBytes: Long): ByteArray {
        if (mostBytes > settings.maxDownloadBytes)
            throw IntegrityError("a file of $mostBytes bytes is announced", "this device takes less; tell the operator")
        return cached(folder, "blobs/$hash", hash)
            ?: downloads.blob(hash, mostBytes).also { folder.put("blobs/$hash", it) }
    }

    private fun kept(assignment: Assignment, manifest: Manifest, runtime: EngineFactory): Kept {
        val files = manifest.programs.values.mapNotNull { it.file(runtime.name)?.sha256 }
        val blobs = listOf(assignment.taskSha256, assignment.manifestSha256, assignment.checkpointSha256)
        return Kept(taskKey(assignment.taskId), assignment.manifestSha256, blobs + manifest.golden.sha256 + files)
    }
}
