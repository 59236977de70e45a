package org.fedrela.executorch

import org.fedrela.client.engine.choose
import org.fedrela.client.engine.selfTest
import org.fedrela.client.training.checkExamples
import org.fedrela.core.VerificationFailed
import org.fedrela.core.program.readManifest
import org.fedrela.core.tensors.longs
import org.fedrela.vectors.Vectors
import org.fedrela.vectors.assertRefused
import org.fedrela.vectors.assertUpdate
import org.fedrela.vectors.examples
import org.fedrela.vectors.get
import org.fedrela.vectors.items
import org.fedrela.vectors.localRound
import org.fedrela.vectors.text
import org.fedrela.vectors.texts
import org.fedrela.vectors.weights
import org.fedrela.vectors.wholeRound
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertSame
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.DynamicTest.dynamicTest
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestFactory
import org.junit.jupiter.api.io.TempDir
import java.io.File

/** Golden steps and whole rounds on ExecuTorch, of every model of the vectors that has programs for it. */
class RoundsTest {
    @TempDir
    lateinit var folder: File

    private val document = Vectors.json("models/models.json").items.filter { "executorch" in it["runtimes"].texts }
    private val models = document.filter { it["cases"].items.isNotEmpty() }

    @TestFactory
    fun `golden steps pass`() = (listOf("golden") + models.map { "models/${it["name"].text}/bundle" }).map { bundle ->
        dynamicTest(bundle) {
            opened(bundle, folder).use { selfTest(it, Vectors.bytes("$bundle/golden.safetensors")) }
        }
    }

    @Test
    fun `another model's golden steps fail`() {
        opened("golden", folder).use { engine ->
            val golden = Vectors.bytes("models/batch-norm/bundle/golden.safetensors")
            assertRefused<VerificationFailed> { selfTest(engine, golden) }
        }
    }

    @TestFactory
    fun `whole rounds`(): List<DynamicTest> = models.flatMap { model ->
        val data = "models/${model["name"].text}"
        model["cases"].items.map { case ->
            dynamicTest("$data, ${case["name"].text}") {
                opened("$data/bundle", folder).use { engine ->
                    val (weights, examples) = weights(data, engine.manifest) to examples(data)
                    checkExamples(examples, engine.manifest)
                    val (labels, update) = wholeRound(engine, localRound(case), weights, examples)
                    val expected = Vectors.tensors("$data/${case["name"].text}.safetensors")
                    assertArrayEquals(expected.longs("labels"), labels)
                    assertUpdate(weights, expected, update)
                }
            }
        }
    }

    @Test
    fun `a bundle for ExecuTorch alone is for this runtime`() {
        val model = document.single { "onnx" !in it["runtimes"].texts }
        val manifest = readManifest(Vectors.bytes("models/${model["manifest"].text}"))
        val runtime = ExecutorchRuntime(folder)
        assertSame(runtime, choose(manifest, listOf(runtime)))
    }
}
