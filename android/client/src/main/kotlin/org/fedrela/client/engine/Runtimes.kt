package org.fedrela.client.engine

import org.fedrela.core.IntegrityError
import org.fedrela.core.InvalidInput
import org.fedrela.core.NotEligible
import org.fedrela.core.VerificationFailed
import org.fedrela.core.numbers.goldenInputs
import org.fedrela.core.numbers.verifyGolden
import org.fedrela.core.program.Dimension
import org.fedrela.core.program.Manifest
import org.fedrela.core.program.ProgramName
import org.fedrela.core.program.Role
import org.fedrela.core.tensors.Tensors
import org.fedrela.core.tensors.allFinite
import org.fedrela.core.tensors.floats
import org.fedrela.core.tensors.readTensors

/** The first of `runtimes` that has a file for every program and is new enough. Throws [NotEligible] where none is. */
public fun choose(manifest: Manifest, runtimes: List<EngineFactory>): EngineFactory = runtimes.find { runtime ->
    manifest.programs.values.all { program ->
        program.file(runtime.name)?.let { isNewEnough(runtime.version, it.minRuntimeVersion) } ?: false
    }
} ?: throw NotEligible("the programs are for other runtimes, or newer ones", "update the app")

/** Whether a version is at least `least`: by leading numbers, missing ones as 0; a suffix never counts. */
internal fun isNewEnough(version: String, least: String): Boolean {
    val (present, needed) = leadingNumbers(version) to leadingNumbers(least)
    for (place in 0 until maxOf(present.size, needed.size)) {
        val (own, other) = (present.getOrElse(place) { 0L }) to (needed.getOrElse(place) { 0L })
        if (own != other) return own > other
    }
    return true
}

private fun leadingNumbers(version: String): List<Long> =
    Regex("[0-9]+(\\.[0-9]+)*").matchAt(version, 0)?.value?.split('.')?.map { it.toLong() }.orEmpty()

/** Run the golden steps. Throws [VerificationFailed] where this runtime doesn't give the recorded outputs. */
public fun selfTest(engine: Engine, golden: ByteArray) {
    val recorded = try {
        readTensors(golden).tensors
    } catch (fault: InvalidInput) {
        throw VerificationFailed("the golden steps can't be compared: ${fault.problem}", "nothing was trained")
    }
    verifyGolden(engine.manifest, recorded) { program, inputs -> engine.run(program, inputs) }
}

/** Whether a global model predicts numbers on the golden inputs; nobody could train one that doesn't. */
internal fun isUsable(engine: Engine, weights: Tensors): Boolean {
    val examples = goldenInputs(engine.manifest, ProgramName.PREDICT, 0, setOf(Role.PARAMETER, Role.BUFFER))
    val outputs = engine.run(ProgramName.PREDICT, predictWeights(engine.manifest, weights) + examples)
    return allFinite(outputs.floats("probabilities"))
}

/** Those of the weights that predict takes. */
internal fun predictWeights(manifest: Manifest, weights: Tensors): Tensors =
    manifest.predict.inputs(Role.PARAMETER, Role.BUFFER).associate { it.name to weights.getValue(it.name) }

private const val BYTES_OF_AN_ELEMENT = 8L

/** Throws [IntegrityError] for a manifest whose tensors would exhaust the device before it trains. */
internal fun checkSizes(manifest: Manifest, mostBytes: Long) {
    val sizes = mapOf("B" to manifest.golden.batch.toLong(), "N" to 4L * manifest.golden.batch)
    val total = manifest.programs.values.sumOf { program -> program.inputs.sumOf { bytes(it.shape, sizes) } }
    if (total > mostBytes)
        throw IntegrityError(
            "the model's tensors take $total bytes, this device allows $mostBytes",
            "nothing was loaded",
        )
}

private fun bytes(shape: List<Dimension>, sizes: Map<String, Long>): Long =
    BYTES_OF_AN_ELEMENT * shape.fold(1L) { product, dimension ->
        product * when (dimension) {
            is Dimension.Size -> dimension.elements.toLong()
            is Dimension.Named -> sizes.getValue(dimension.name)
        }
    }
