package org.fedrela.onnx

import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtException
import ai.onnxruntime.OrtSession
import org.fedrela.client.engine.Engine
import org.fedrela.client.engine.TrainingState
import org.fedrela.core.ProgramFailed
import org.fedrela.core.program.Manifest
import org.fedrela.core.program.ProgramName
import org.fedrela.core.tensors.Tensors

/** See [Engine]. One session for each program. */
internal class OnnxEngine(
    override val manifest: Manifest,
    private val environment: OrtEnvironment,
    private val sessions: Map<ProgramName, OrtSession>,
) : Engine {
    override fun run(program: ProgramName, inputs: Tensors): Tensors = translated(program) {
        NativeTensors(environment, inputs).use { fed ->
            sessions.getValue(program).run(fed.byName).use { result ->
                result.associate { it.key to copied(it.value as OnnxTensor) }
            }
        }
    }

    override fun train(carried: Tensors, fixed: Tensors): TrainingState = translated(ProgramName.TRAIN_STEP) {
        val names = manifest.carried.map { it.name }
        OnnxTraining(names, environment, sessions.getValue(ProgramName.TRAIN_STEP), carried, fixed)
    }

    override fun close() = sessions.values.forEach { it.close() }
}

/** Turn whatever the runtime throws while a program runs into an error of ours. */
internal inline fun <T> translated(program: ProgramName, run: () -> T): T = try {
    run()
} catch (fault: OrtException) {
    throw failed(program, fault)
} catch (fault: NoSuchElementException) {
    throw failed(program, fault)
} catch (fault: ClassCastException) {
    throw failed(program, fault)
}

internal fun failed(program: ProgramName, fault: Exception) =
    ProgramFailed("program ${program.word} failed (${fault.message?.take(200)})", "export the model again", fault)
