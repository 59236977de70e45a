package org.fedrela.onnx

import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtSession
import org.fedrela.client.engine.StepTotals
import org.fedrela.client.engine.TrainingState
import org.fedrela.core.program.CORRECT_SUM
import org.fedrela.core.program.LOSS_SUM
import org.fedrela.core.program.ProgramName
import org.fedrela.core.program.WEIGHT_SUM
import org.fedrela.core.tensors.Tensors
import org.fedrela.core.tensors.scalar

private val TOTALS = listOf(LOSS_SUM, CORRECT_SUM, WEIGHT_SUM)

/**
 * A training state in the runtime's memory, twice: a step reads one and writes the other, which the next step reads.
 * Nothing of it passes through the heap, and from the third step on no step asks for memory.
 */
internal class OnnxTraining(
    private val names: List<String>,
    private val environment: OrtEnvironment,
    private val session: OrtSession,
    carried: Tensors,
    fixed: Tensors,
) : TrainingState {
    private val fixed = NativeTensors(environment, fixed)
    private var given: NativeTensors? = NativeTensors(environment, carried) // until the first step has read it
    private val batch = Slots(environment)
    private val totals = Slots(environment).apply { put(TOTALS.associateWith { scalar(0f) }) }
    private var state: Map<String, OnnxTensor> = given!!.byName
    private var spare = emptyMap<String, OnnxTensor>() // the state before, which the next step writes over
    private val read = HashMap<String, OnnxTensor>(this.fixed.byName)
    private val written = HashMap<String, OnnxTensor>(totals.byName)
    private val news = names.associateWith { "new.$it" }

    override fun step(inputs: Tensors): StepTotals = translated(ProgramName.TRAIN_STEP) {
        batch.put(inputs)
        read.putAll(state)
        read.putAll(batch.byName)
        for ((name, tensor) in spare) written[news.getValue(name)] = tensor
        val asked = if (spare.isEmpty()) news.values.toSet() else emptySet()
        val result = session.run(read, asked, written) // not closed: its new.* live on
        val before = state
        state = spare.ifEmpty { names.associateWith { result.get(news.getValue(it)).get() as OnnxTensor } }
        spare = if (given == null) before else emptyMap()
        given?.close()
        given = null
        StepTotals(totals.float(LOSS_SUM), totals.float(CORRECT_SUM), totals.float(WEIGHT_SUM))
    }

    override fun carried(): Tensors = translated(ProgramName.TRAIN_STEP) { state.mapValues { copied(it.value) } }

    override fun close() {
        (state.values + spare.values).forEach { it.close() }
        for (kept in listOf(batch, totals, fixed)) kept.close()
    }
}
