package org.fedrela.vectors

import org.fedrela.client.engine.choose
import org.fedrela.client.engine.selfTest
import org.fedrela.client.training.Examples
import org.fedrela.client.training.checkExamples
import org.fedrela.client.training.evaluate
import org.fedrela.client.training.split
import org.fedrela.core.NotEligible
import org.fedrela.core.VerificationFailed
import org.fedrela.core.program.readManifest
import org.fedrela.core.tensors.longs
import org.fedrela.core.trust.checkSeal
import org.fedrela.core.trust.fingerprint
import org.fedrela.core.trust.sha256
import org.fedrela.core.wire.Seal
import org.fedrela.onnx.OnnxRuntime
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.DynamicTest.dynamicTest
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestFactory

/** Whole rounds on ONNX Runtime: golden steps, labels and updates of every model of the vectors. */
class RoundsTest {
    private val models = Vectors.json("models/models.json").items.filter { "onnx" in it["runtimes"].texts }
    private val bundles = listOf("golden", "rounds/bundle") + models.map { "models/${it["name"].text}/bundle" }

    @TestFactory
    fun `golden steps pass`() = bundles.map { folder ->
        dynamicTest(folder) { openBundle(folder).use { selfTest(it, Vectors.bytes("$folder/golden.safetensors")) } }
    }

    @Test
    fun `another model's golden steps fail`() {
        openBundle("rounds/bundle").use { engine ->
            val golden = Vectors.bytes("models/numbers/bundle/golden.safetensors")
            assertRefused<VerificationFailed> { selfTest(engine, golden) }
        }
    }

    @TestFactory
    fun `bundles are sealed`() = bundles.map { folder ->
        dynamicTest(folder) {
            val seal = Vectors.json("$folder/seal.json")
            val sealed = Seal(
                seal["manifest_sha256"].text,
                seal["weights_sha256"].text,
                seal["public_key"].text,
                seal["signature"].text,
            )
            val manifest = sha256(Vectors.bytes("$folder/manifest.json"))
            checkSeal(sealed, manifest, listOf(fingerprint(sealed.publicKey)))
            assertEquals(sealed.weightsSha256, sha256(Vectors.bytes("$folder/weights.safetensors")))
        }
    }

    @TestFactory
    fun `whole rounds`(): List<DynamicTest> {
        val engine = openBundle("rounds/bundle")
        val (weights, examples) = weights("rounds", engine.manifest) to examples("rounds")
        return tests(Vectors.json("rounds/cases.json").items) { case ->
            val (labels, update) = wholeRound(engine, localRound(case), weights, examples)
            val expected = Vectors.tensors("rounds/${case["name"].text}.safetensors")
            assertArrayEquals(expected.longs("labels"), labels)
            assertUpdate(weights, expected, update)
        }
    }

    @TestFactory
    fun `whole rounds of every model`(): List<DynamicTest> = models.flatMap { model ->
        val folder = "models/${model["name"].text}"
        val engine = openBundle("$folder/bundle")
        val (weights, examples) = weights(folder, engine.manifest) to examples(folder)
        checkExamples(examples, engine.manifest)
        model["cases"].items.map { case ->
            dynamicTest("$folder, ${case["name"].text}") {
                val (labels, update) = wholeRound(engine, localRound(case), weights, examples)
                val expected = Vectors.tensors("$folder/${case["name"].text}.safetensors")
                assertArrayEquals(expected.longs("labels"), labels)
                assertUpdate(weights, expected, update)
            }
        }
    }

    @Test
    fun `a device without a runtime of a bundle takes no part`() {
        val model = Vectors.json("models/models.json").items.single { "onnx" !in it["runtimes"].texts }
        val manifest = readManifest(Vectors.bytes("models/${model["manifest"].text}"))
        assertRefused<NotEligible> { choose(manifest, listOf(OnnxRuntime())) }
    }

    @TestFactory
    fun `totals over a hold-out`(): List<DynamicTest> {
        val engine = openBundle("rounds/bundle")
        val (weights, examples) = weights("rounds", engine.manifest) to examples("rounds")
        return tests(Vectors.json("rounds/evaluations.json").items, { "round ${it["round"].int}" }) { case ->
            val local = localRound(case)
            val heldOut: Examples = split(examples, case["fraction"].double, local.secret).heldOut
            val report = evaluate(engine, local, weights, heldOut)
            assertArrayEquals(case["held"].longs, heldOut.keys)
            assertEquals(listOf(case["correct"].int, case["examples"].int), listOf(report.correct, report.examples))
            assertEquals(case["loss_sum"].double, report.lossSum, OF_WEIGHTS * case["loss_sum"].double)
        }
    }
}
