package org.fedrela.executorch

import org.fedrela.client.engine.Engine
import org.fedrela.client.engine.StepTotals
import org.fedrela.client.engine.TrainingState
import org.fedrela.client.training.takeRows
import org.fedrela.core.FedRelaError
import org.fedrela.core.InvalidInput
import org.fedrela.core.NotEligible
import org.fedrela.core.ProgramFailed
import org.fedrela.core.program.CORRECT_SUM
import org.fedrela.core.program.LOSS_SUM
import org.fedrela.core.program.Manifest
import org.fedrela.core.program.ProgramName
import org.fedrela.core.program.WEIGHT_SUM
import org.fedrela.core.tensors.FloatTensor
import org.fedrela.core.tensors.Tensor
import org.fedrela.core.tensors.Tensors

/** See [Engine]. A program's memory is planned for its file's largest batch, whatever a batch holds. */
internal class ExecutorchEngine(
    override val manifest: Manifest,
    private val modules: Map<ProgramName, PteModule>,
    private val onClose: () -> Unit,
) : Engine {
    override fun run(program: ProgramName, inputs: Tensors): Tensors {
        val (samples, most) = samples(program, inputs) to most(program)
        if (samples <= most) return call(program, inputs, samples)
        return when (program) {
            ProgramName.PREDICT -> predictedInParts(inputs, samples, most)
            ProgramName.RELABEL -> throw NotEligible(
                "$samples examples to re-label; the ExecuTorch program takes at most $most",
                "use ONNX Runtime on this device, which takes any number",
            )
            ProgramName.TRAIN_STEP -> throw InvalidInput(
                "a batch of $samples examples; the ExecuTorch program takes at most $most",
                "the operator should set local.batch_size to $most or less, or export with a larger --max-batch",
            )
        }
    }

    override fun train(carried: Tensors, fixed: Tensors): TrainingState = ExecutorchTraining(this, carried, fixed)

    override fun close() {
        modules.values.forEach { it.close() }
        onClose()
    }

    /** One call of the runtime: positions in place of names, in the manifest's order. */
    private fun call(program: ProgramName, inputs: Tensors, samples: Int): Tensors {
        val expected = outputsOf(manifest, program, samples)
        val ordered = definition(program).inputs.map { checkedInput(program, it, inputs[it.name], samples) }
        val outputs = try {
            modules.getValue(program).forward(ordered)
        } catch (fault: FedRelaError) {
            throw fault
        } catch (fault: Exception) {
            throw failed(program, fault)
        } catch (fault: LinkageError) {
            throw failed(program, fault)
        }
        return named(program, expected, outputs)
    }

    private fun predictedInParts(inputs: Tensors, samples: Int, most: Int): Tensors {
        val name = definition(ProgramName.PREDICT).outputs.single()
        val all = FloatArray(samples * manifest.classes)
        for (start in 0 until samples step most) {
            val rows = IntArray(minOf(most, samples - start)) { start + it }
            val part = definition(ProgramName.PREDICT).inputs.associate { item ->
                val tensor = given(ProgramName.PREDICT, item, inputs[item.name])
                item.name to if (item.isOpen) takeRows(tensor, rows) else tensor
            }
            val values = (call(ProgramName.PREDICT, part, rows.size).getValue(name) as FloatTensor).values
            values.copyInto(all, start * manifest.classes)
        }
        return mapOf(name to FloatTensor(listOf(samples, manifest.classes), all))
    }

    /** How many examples a call is about: all that has an open dimension has that many rows. */
    private fun samples(program: ProgramName, inputs: Tensors): Int {
        val open = definition(program).inputs.first { it.isOpen }
        return given(program, open, inputs[open.name]).shape.firstOrNull() ?: 0
    }

    private fun most(program: ProgramName): Int =
        definition(program).file(EXECUTORCH)?.maxBatch?.takeIf { it > 0 } ?: Int.MAX_VALUE

    private fun definition(program: ProgramName) = manifest.programs.getValue(program)
}


/** A training state: the newest value of each carried tensor, outside of the runtime, whose memory is one call's. */
private class ExecutorchTraining(
    private val engine: ExecutorchEngine,
    carried: Tensors,
    private val fixed: Tensors,
) : TrainingState {
    private val names = engine.manifest.carried.map { it.name }
    private var state: Tensors = names.associateWith { given(carried, it) }

    override fun step(inputs: Tensors): StepTotals {
        val outputs = engine.run(ProgramName.TRAIN_STEP, state + fixed + inputs)
        state = names.associateWith { outputs.getValue("new.$it") }
        return StepTotals(total(outputs, LOSS_SUM), total(outputs, CORRECT_SUM), total(outputs, WEIGHT_SUM))
    }

    override fun carried(): Tensors = state

    override fun close() = Unit

    private fun given(carried: Tensors, name: String): Tensor =
        carried[name] ?: throw ProgramFailed("the training state has no '$name'", "export the model again")

    private fun total(outputs: Tensors, name: String): Float = (outputs.getValue(name) as FloatTensor).values[0]
}

private fun failed(program: ProgramName, fault: Throwable) =
    ProgramFailed("program ${program.word} failed (${fault.toString().take(200)})", "export the model again", fault)
