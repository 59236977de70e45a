package org.fedrela.vectors

import org.fedrela.client.engine.choose
import org.fedrela.client.engine.selfTest
import org.fedrela.client.failureCode
import org.fedrela.client.training.Examples
import org.fedrela.client.training.checkExamples
import org.fedrela.core.AssignmentFailed
import org.fedrela.core.FailureCode
import org.fedrela.core.IntegrityError
import org.fedrela.core.InvalidInput
import org.fedrela.core.ProgramFailed
import org.fedrela.core.VerificationFailed
import org.fedrela.core.program.ProgramName
import org.fedrela.core.program.readManifest
import org.fedrela.core.task.readTask
import org.fedrela.core.tensors.readTensors
import org.fedrela.core.trust.checkHash
import org.fedrela.core.trust.checkSeal
import org.fedrela.core.trust.verify
import org.fedrela.core.wire.checkFeatures
import org.fedrela.onnx.OnnxRuntime
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.TestFactory

/** Each fault has its code; those that need a coordinator are played by the conformance server. */
class FailuresTest {
    private val manifest = readManifest(Vectors.bytes("rounds/bundle/manifest.json"))
    private val others = readManifest(Vectors.bytes("models/batch-norm/executorch-only.json"))
    private val none = ByteArray(0)
    private val unloadable = ProgramName.entries.associateWith { "no program".toByteArray() }

    private fun failed(code: FailureCode): () -> Any = { throw AssignmentFailed(code, "it failed") }

    private fun raised(fault: Throwable): () -> Any = { throw fault }

    private val tooMuch = raised(IntegrityError("too much is announced", "none"))
    private val notFinite = raised(InvalidInput("not finite", "none"))

    private val faults: Map<String, () -> Any> = mapOf(
        "the pinned key did not sign the assignment" to { verify("00".repeat(32), none, "00".repeat(64)) },
        "no publisher that the link names has signed the program" to 
            { checkSeal(null, "00".repeat(32), listOf("00".repeat(16))) },
        "a blob does not match its hash, three times" to { checkHash(none, "00".repeat(32), "a blob") },
        "a blob is longer than announced" to tooMuch,
        "a task is longer than 1 000 000 bytes, a manifest than 16 000 000" to tooMuch,
        "more bytes are announced than the model needs or this device takes" to tooMuch,
        "the golden steps give other outputs" to raised(VerificationFailed("off", "none")),
        "the golden outputs can't be compared" to { openBundle("rounds/bundle").use { selfTest(it, none) } },
        "the bundle has no program for a runtime of this device" to { choose(others, listOf(OnnxRuntime())) },
        "the programs need a newer runtime" to { choose(manifest, emptyList()) },
        "the runtime can't load a program" to { OnnxRuntime().open(manifest, unloadable) },
        "the task requires a feature that this client doesn't know" to { checkFeatures("task", listOf("telepathy")) },
        "the manifest requires a feature that this client doesn't know" to { checkFeatures("manifest", listOf("x")) },
        "this device holds fewer examples than the task asks for" to failed(FailureCode.NOT_ELIGIBLE),
        "the local data can't be used, or fed to this model" to 
            { checkExamples(Examples(emptyMap(), longArrayOf(0)), manifest) },
        "the lease ended while training was paused" to failed(FailureCode.NOT_ELIGIBLE),
        "the global model predicts values that are not finite" to failed(FailureCode.MODEL_UNUSABLE),
        "the lease ended while training" to failed(FailureCode.TIMED_OUT),
        "the lease ended before the upload" to failed(FailureCode.TIMED_OUT),
        "the task is malformed" to { readTask("{".toByteArray()) },
        "a value of the task is beyond its limits" to { readTask("""{"name":"a","rounds":0}""".toByteArray()) },
        "the manifest is malformed or breaks a rule" to { readManifest("{}".toByteArray()) },
        "the weights are malformed or not those of the manifest" to { readTensors(none, manifest.weights) },
        "the loss is no longer finite" to notFinite,
        "predictions on the local data are not finite" to notFinite,
        "a program fails while it runs" to 
            { openBundle("rounds/bundle").use { it.run(ProgramName.PREDICT, emptyMap()) } },
        "there is not enough memory" to raised(ProgramFailed("there is not enough memory", "none")),
    )

    @TestFactory
    fun `a fault has its code`() = tests(Vectors.json("failures.json")["faults"].items, { it["fault"].text }) { item ->
        val caught = assertRefused<Exception> { faults.getValue(item["fault"].text)() }
        assertEquals(item["code"].text, failureCode(caught).word)
    }
}
