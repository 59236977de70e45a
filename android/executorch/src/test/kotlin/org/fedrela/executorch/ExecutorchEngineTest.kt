package org.fedrela.executorch

import org.fedrela.client.engine.Engine
import org.fedrela.client.training.takeRows
import org.fedrela.core.FedRelaError
import org.fedrela.core.InvalidInput
import org.fedrela.core.NotEligible
import org.fedrela.core.ProgramFailed
import org.fedrela.core.numbers.goldenInputs
import org.fedrela.core.program.ProgramName
import org.fedrela.core.tensors.FloatTensor
import org.fedrela.core.tensors.LongTensor
import org.fedrela.core.tensors.Tensor
import org.fedrela.core.tensors.Tensors
import org.fedrela.core.tensors.floats
import org.fedrela.vectors.assertRefused
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.DynamicTest.dynamicTest
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestFactory
import org.junit.jupiter.api.io.TempDir
import java.io.File
import java.io.IOException

private const val BUNDLE = "golden"

/** Batches of any size, and whatever a runtime may give back. */
class ExecutorchEngineTest {
    @TempDir
    lateinit var folder: File

    private val manifest = manifest(BUNDLE)
    private val most = manifest.predict.file(EXECUTORCH)!!.maxBatch

    /** Golden inputs, of which all that has a row for each example is repeated. */
    private fun inputs(program: ProgramName, rows: Int): Tensors {
        val open = manifest.programs.getValue(program).inputs.filter { it.isOpen }.map { it.name }
        return goldenInputs(manifest, program, 0).mapValues { (name, tensor) ->
            if (name in open) takeRows(tensor, IntArray(rows) { it % tensor.shape[0] }) else tensor
        }
    }

    @Test
    fun `a prediction of many examples is made in parts`() {
        opened(BUNDLE, folder).use { engine ->
            val whole = engine.run(ProgramName.PREDICT, inputs(ProgramName.PREDICT, most)).floats("probabilities")
            val many = engine.run(ProgramName.PREDICT, inputs(ProgramName.PREDICT, 2 * most + 3))
            assertEquals(listOf(2 * most + 3, manifest.classes), many.getValue("probabilities").shape)
            assertArrayEquals(whole + whole + whole.copyOf(3 * manifest.classes), many.floats("probabilities"))
        }
    }

    @Test
    fun `a batch that is too large to train on is refused`() {
        opened(BUNDLE, folder).use { engine ->
            engine.run(ProgramName.TRAIN_STEP, inputs(ProgramName.TRAIN_STEP, most - 1))
            val fault = assertRefused<InvalidInput> {
                engine.run(ProgramName.TRAIN_STEP, inputs(ProgramName.TRAIN_STEP, most + 1))
            }
            assertTrue("at most $most" in fault.problem)
        }
    }

    @Test
    fun `more examples than re-labeling takes make a device not eligible`() {
        val limit = manifest.relabel.file(EXECUTORCH)!!.maxBatch
        opened(BUNDLE, folder).use { engine ->
            engine.run(ProgramName.RELABEL, inputs(ProgramName.RELABEL, limit))
            assertRefused<NotEligible> { engine.run(ProgramName.RELABEL, inputs(ProgramName.RELABEL, limit + 1)) }
        }
    }

    @Test
    fun `states don't touch each other`() {
        opened(BUNDLE, folder).use { engine ->
            val all = inputs(ProgramName.TRAIN_STEP, most)
            val names = manifest.carried.map { it.name }
            fun trained(steps: Int) = engine.train(all.filterKeys { it in names }, emptyMap()).use { state ->
                repeat(steps) { state.step(all.filterKeys { it !in names }) }
                state.carried()
            }
            val (first, second) = trained(1) to trained(2)
            val name = names[0]
            assertArrayEquals(first.floats(name), trained(1).floats(name))
            assertTrue(!first.floats(name).contentEquals(second.floats(name)))
        }
    }

    @TestFactory
    fun `what a runtime gives is looked at`() = HOSTILE.map { (what, change) ->
        dynamicTest(what) {
            for (program in ProgramName.entries) {
                val inputs = inputs(program, 3)
                assertRefused<ProgramFailed> { engine(change).run(program, inputs) }
            }
        }
    }

    @Test
    fun `the same runtime is believed where it gives what the manifest says`() {
        for (program in ProgramName.entries) {
            val outputs = engine { it }.run(program, inputs(program, 3))
            assertEquals(manifest.programs.getValue(program).outputs, outputs.keys.toList())
        }
    }

    @Test
    fun `an input that is missing, of another type or of another shape never reaches the runtime`() {
        val good = inputs(ProgramName.PREDICT, 3)
        val rows = LongTensor(listOf(3), LongArray(3))
        for (bad in listOf(good - "x", good - "0.bias", good + ("x" to rows), good + ("0.bias" to good.getValue("x"))))
            assertRefused<ProgramFailed> { engine { error("it was called") }.run(ProgramName.PREDICT, bad) }
    }

    /** An engine on a runtime that gives zeros of the right type and shape, changed. */
    private fun engine(change: (List<Tensor>) -> List<Tensor>): Engine = ExecutorchEngine(
        manifest,
        ProgramName.entries.associateWith { program -> module { change(zeros(program)) } },
    ) {}

    private fun zeros(program: ProgramName): List<Tensor> = outputsOf(manifest, program, 3).map { spec ->
        val size = spec.shape.fold(1) { product, dimension -> product * dimension }
        if (spec.name == "new_labels") LongTensor(spec.shape, LongArray(size))
        else FloatTensor(spec.shape, FloatArray(size))
    }

    private fun module(outputs: () -> List<Tensor>) = object : PteModule {
        override fun forward(inputs: List<Tensor>): List<Tensor> = outputs()

        override fun close() = Unit
    }

    private companion object {
        val HOSTILE: Map<String, (List<Tensor>) -> List<Tensor>> = mapOf(
            "nothing" to { _ -> emptyList() },
            "one tensor less" to { it.dropLast(1) },
            "one tensor more" to { it + it.last() },
            "another type" to { it.dropLast(1) + LongTensor(it.last().shape, LongArray(it.last().size)) },
            "another shape" to { listOf(FloatTensor(listOf(2, 2, 2), FloatArray(8))) + it.drop(1) },
            "fewer elements than its shape has" to { it.dropLast(1) + FloatTensor(it.last().shape, FloatArray(0)) },
            "an exception of its own" to { _ -> throw IllegalStateException("[ExecuTorch Error 0x12]") },
            "a broken pipe" to { _ -> throw IOException("cut") },
            "a library that lacks a method" to { _ -> throw NoSuchMethodError("forward") },
        )
    }
}
