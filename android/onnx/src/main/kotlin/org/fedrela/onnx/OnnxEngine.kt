package org.fedrela.onnx

import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtException
import ai.onnxruntime.OrtSession
import org.fedrela.client.engine.Engine
import org.fedrela.client.engine.StepTotals
import org.fedrela.client.engine.TrainingState
import org.fedrela.core.ProgramFailed
import org.fedrela.core.program.CORRECT_SUM
import org.fedrela.core.program.LOSS_SUM
import org.fedrela.core.program.Manifest
import org.fedrela.core.program.ProgramName
import org.fedrela.core.program.WEIGHT_SUM
import org.fedrela.core.tensors.Tensor
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
        OnnxTraining(manifest, environment, sessions.getValue(ProgramName.TRAIN_STEP), carried, fixed)
    }

    override fun close() = sessions.values.forEach { it.close() }
}

/**
 * A training state in the runtime's memory: what a step gives as `new.*` is what the next one takes, and nothing of it
 * passes through the heap.
 */
private class OnnxTraining(
    private val manifest: Manifest,
    private val environment: OrtEnvironment,
    private val session: OrtSession,
    carried: Tensors,
    fixed: Tensors,
) : TrainingState {
    private val names = manifest.carried.map { it.name }
    private val fixed = NativeTensors(environment, fixed)
    private var state = NativeTensors(environment, carried).byName

    override fun step(inputs: Tensors): StepTotals = translated(ProgramName.TRAIN_STEP) {
        NativeTensors(environment, inputs).use { fed ->
            val result = session.run(state + fixed.byName + fed.byName) // not closed: its new.* live on
            val outputs = result.associate { it.key to it.value as OnnxTensor }
            val former = state.values
            state = names.associateWith { outputs.getValue("new.$it") }
            former.forEach { it.close() }
            StepTotals(total(outputs, LOSS_SUM), total(outputs, CORRECT_SUM), total(outputs, WEIGHT_SUM))
        }
    }

    override fun carried(): Tensors = translated(ProgramName.TRAIN_STEP) { state.mapValues { copied(it.value) } }

    override fun close() {
        state.values.forEach { it.close() }
        fixed.close()
    }

    private fun total(outputs: Map<String, OnnxTensor>, name: String): Float =
        outputs.getValue(name).use { it.floatBuffer.get(0) }
}

/** Tensors copied into the runtime's memory, all or none. */
private class NativeTensors(environment: OrtEnvironment, tensors: Map<String, Tensor>) : AutoCloseable {
    val byName: Map<String, OnnxTensor>

    init {
        val made = LinkedHashMap<String, OnnxTensor>()
        try {
            for ((name, tensor) in tensors) made[name] = native(environment, tensor)
        } catch (fault: OrtException) {
            made.values.forEach { it.close() }
            throw fault
        }
        byName = made
    }

    override fun close() = byName.values.forEach { it.close() }
}

/** Turn whatever the runtime throws while a program runs into an error of ours. */
private inline fun <T> translated(program: ProgramName, run: () -> T): T = try {
    run()
} catch (fault: OrtException) {
    throw failed(program, fault)
} catch (fault: NoSuchElementException) {
    throw failed(program, fault)
} catch (fault: ClassCastException) {
    throw failed(program, fault)
}

private fun failed(program: ProgramName, fault: Exception) =
    ProgramFailed("program ${program.word} failed (${fault.message?.take(200)})", "export the model again", fault)
