package org.fedrela.cli

import com.sun.management.OperatingSystemMXBean
import org.fedrela.client.engine.TrainingState
import org.fedrela.core.program.Manifest
import org.fedrela.core.program.ProgramName
import org.fedrela.core.program.Role
import org.fedrela.core.program.readManifest
import org.fedrela.core.tensors.FloatTensor
import org.fedrela.core.tensors.Tensors
import org.fedrela.core.tensors.elements
import org.fedrela.core.tensors.readTensors
import org.fedrela.onnx.OnnxRuntime
import java.io.File
import java.lang.management.ManagementFactory

private const val NANOS = 1e9
private val machine = ManagementFactory.getPlatformMXBean(OperatingSystemMXBean::class.java)

/**
 * Answers "step N" on the standard input with N times [processor seconds, seconds] as JSON, "version" with that of the
 * runtime, and says first that it is ready. `batch`: every input of train_step that isn't carried.
 */
internal fun answerSteps(options: Options) {
    val folder = File(options["bundle"])
    val manifest = readManifest(File(folder, "manifest.json").readBytes())
    val inputs = readTensors(File(options["batch"]).readBytes()).tensors
    val steady = manifest.trainStep.inputs(Role.HYPERPARAMETER, Role.CLASS_PRIOR).map { it.name }.toSet()
    val runtime = OnnxRuntime()
    opened(runtime, manifest, folder).use { engine ->
        val state = engine.train(started(manifest, folder), inputs.filterKeys { it in steady })
        answer("""{"ready": true}""")
        for (line in generateSequence(::readLine)) {
            if (line == "version") answer("\"${runtime.version}\"")
            else answer(times(state, inputs - steady, line.substringAfter(' ').toInt()))
        }
    }
}

private fun opened(runtime: OnnxRuntime, manifest: Manifest, folder: File) =
    runtime.open(manifest, ProgramName.entries.associateWith { name ->
        File(folder, manifest.programs.getValue(name).file(runtime.name)!!.path).readBytes()
    })

private fun started(manifest: Manifest, folder: File): Tensors {
    val weights = readTensors(File(folder, "weights.safetensors").readBytes()).tensors
    return manifest.carried.associate { spec ->
        spec.name to (weights[spec.name] ?: FloatTensor(spec.shape, FloatArray(elements(spec.shape))))
    }
}

private fun times(state: TrainingState, inputs: Tensors, count: Int): String = List(count) {
    val (processor, clock) = machine.processCpuTime to System.nanoTime()
    state.step(inputs)
    "[${(machine.processCpuTime - processor) / NANOS}, ${(System.nanoTime() - clock) / NANOS}]"
}.joinToString(prefix = "[", postfix = "]")

private fun answer(json: String) {
    println(json)
    System.out.flush()
}
