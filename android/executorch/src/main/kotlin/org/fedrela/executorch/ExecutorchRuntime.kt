package org.fedrela.executorch

import org.fedrela.client.engine.Engine
import org.fedrela.client.engine.EngineFactory
import org.fedrela.core.FedRelaError
import org.fedrela.core.NotEligible
import org.fedrela.core.program.Manifest
import org.fedrela.core.program.ProgramName
import java.io.File

/** The version of executorch-android that this is written for; the library doesn't say its own. */
public const val WRITTEN_FOR: String = "1.5.1"

internal const val EXECUTORCH = "executorch"

/**
 * ExecuTorch on the processor; the app brings `org.pytorch:executorch-android`. `folder`: nobody else's, and in the
 * app's own storage: programs are loaded from files in it. `version`: of the library that the app brings.
 */
public class ExecutorchRuntime(
    folder: File,
    threads: Int = 1,
    override val version: String = WRITTEN_FOR,
    private val loader: PteLoader = androidLoader(threads),
) : EngineFactory {
    private val files = ProgramFiles(folder)

    override val name: String = EXECUTORCH

    override fun open(manifest: Manifest, programs: Map<ProgramName, ByteArray>): Engine {
        for ((name, body) in programs) checkPte(body, name.word)
        files.clear()
        val modules = LinkedHashMap<ProgramName, PteModule>()
        try {
            for ((name, body) in programs) modules[name] = module(manifest, name, body)
        } catch (fault: Throwable) {
            modules.values.forEach { it.close() }
            files.clear()
            throw fault
        }
        return ExecutorchEngine(manifest, modules, files::clear)
    }

    private fun module(manifest: Manifest, name: ProgramName, body: ByteArray): PteModule {
        val file = manifest.programs.getValue(name).file(EXECUTORCH)
            ?: throw NotEligible("there is no program ${name.word} for ExecuTorch", "update the app")
        return files.loaded(file.sha256, body) { loaded(name, it) }
    }

    private fun loaded(name: ProgramName, file: File): PteModule = try {
        loader.load(file)
    } catch (fault: FedRelaError) {
        throw fault
    } catch (fault: Exception) {
        throw unloadable(name, fault)
    } catch (fault: LinkageError) {
        throw unloadable(name, fault) // the app has no library, or none for this processor
    }

    private fun unloadable(name: ProgramName, fault: Throwable) = NotEligible(
        "ExecuTorch $version can't load program ${name.word} (${fault.toString().take(200)})",
        "take org.pytorch:executorch-android into the app, or export the model again",
        fault,
    )
}
