package org.fedrela.core.numbers

import org.fedrela.core.VerificationFailed
import org.fedrela.core.program.Manifest
import org.fedrela.core.program.ProgramName
import org.fedrela.core.tensors.ByteTensor
import org.fedrela.core.tensors.FloatTensor
import org.fedrela.core.tensors.HalfTensor
import org.fedrela.core.tensors.IntTensor
import org.fedrela.core.tensors.LongTensor
import org.fedrela.core.tensors.Tensor
import org.fedrela.core.tensors.Tensors
import org.fedrela.core.tensors.Dtype

// Golden steps: fixed inputs, made from streams, on which every runtime must give the recorded outputs.

private const val SAMPLE = 512
private const val LARGEST_SLACK = 0.3 // relative: what is further off says nothing, whatever a golden file allows
private const val SMALLEST_SCALE = 1e-12
private const val SLACK = "slack."
private const val NEW = "new."

/** One program on raw inputs, outputs by name. */
internal typealias Run = (program: ProgramName, inputs: Tensors) -> Tensors

/**
 * Run the golden steps of every program. Throws [VerificationFailed] at the first output that is off by more than the
 * tolerance, or that this runtime doesn't give. What `recorded` leaves out is nothing but rounding: nobody is asked for
 * it.
 */
internal fun verifyGolden(manifest: Manifest, recorded: Tensors, run: Run) {
    val outputs = recorded.filterKeys { !it.startsWith(SLACK) }
    for (program in ProgramName.entries)
        if (outputs.keys.none { it.startsWith("${program.word}.") })
            throw VerificationFailed("nothing of ${program.word} is recorded in the golden file", REMEDY)
    val computed = computeGolden(manifest, run)
    for ((name, expected) in outputs) {
        val output = computed[name] ?: throw VerificationFailed("output ${name.take(80)} was not computed", REMEDY)
        val slack = recorded[SLACK + name]?.let(::numbers)?.firstOrNull() ?: 0.0
        val error = relativeError(numbers(expected), output.values, output.before, slack)
        if (!(error <= manifest.golden.tolerance)) throw VerificationFailed("golden output $name is off by $error", OFF)
    }
    recorded.keys.find { it.startsWith(SLACK) && it.removePrefix(SLACK) !in outputs }
        ?.let { throw VerificationFailed("${it.take(80)} is the slack of nothing", REMEDY) }
}

private const val REMEDY = "nothing was trained; the operator should export the model again"
private const val OFF = "this device computes this model wrongly; update the runtime"

/** What a runtime gave for one recorded output, and what was there before. */
private class Output(val values: DoubleArray, val before: DoubleArray?)

private fun computeGolden(manifest: Manifest, run: Run): Map<String, Output> {
    val computed = HashMap<String, Output>()
    for (program in ProgramName.entries) {
        val steps = if (program == ProgramName.TRAIN_STEP) manifest.golden.steps else 1
        var carried: Tensors = emptyMap()
        for (step in 0 until steps) {
            val inputs = goldenInputs(manifest, program, step) + carried
            val outputs = run(program, inputs)
            for ((name, tensor) in outputs)
                computed["${program.word}.$step.$name"] = Output(sample(tensor), inputs[name.removePrefix(NEW)]
                    ?.takeIf { name.startsWith(NEW) }?.let(::sample))
            carried = carriedOver(manifest, program, outputs)
        }
    }
    return computed
}

private fun carriedOver(manifest: Manifest, program: ProgramName, outputs: Tensors): Tensors {
    if (program != ProgramName.TRAIN_STEP) return emptyMap()
    return manifest.carried.associate { spec ->
        spec.name to (outputs[NEW + spec.name] ?: throw VerificationFailed("a step gives no new ${spec.name}", REMEDY))
    }
}

/**
 * max |actual - expected|, less the slack, / (max |expected - before| + 0.01 max |expected|).
 * Infinite where anything is not finite, on either side, or the sizes differ.
 */
public fun relativeError(
    expected: DoubleArray,
    actual: DoubleArray,
    before: DoubleArray? = null,
    slack: Double = 0.0,
): Double {
    if (expected.size != actual.size) return Double.POSITIVE_INFINITY
    var (off, moved, largest) = doubleArrayOf(0.0, 0.0, 0.0)
    for (index in expected.indices) {
        off = maxOf(off, Math.abs(actual[index] - expected[index])) // a NaN stays
        moved = maxOf(moved, Math.abs(expected[index] - (before?.getOrNull(index) ?: 0.0)))
        largest = maxOf(largest, Math.abs(expected[index]))
    }
    if (!listOf(off, moved, largest, slack).all(Double::isFinite)) return Double.POSITIVE_INFINITY
    val scale = maxOf(moved + 0.01 * largest, SMALLEST_SCALE)
    return maxOf(off - minOf(slack, LARGEST_SLACK * scale), 0.0) / scale
}

/** The recorded elements of an output. */
private fun sample(tensor: Tensor): DoubleArray {
    val all = numbers(tensor)
    if (all.size <= SAMPLE) return all
    return DoubleArray(SAMPLE) { all[(it.toLong() * all.size / SAMPLE).toInt()] }
}

/** The elements of a tensor as numbers. */
internal fun numbers(tensor: Tensor): DoubleArray = when (tensor) {
    is FloatTensor -> DoubleArray(tensor.size) { tensor.values[it].toDouble() }
    is LongTensor -> DoubleArray(tensor.size) { tensor.values[it].toDouble() }
    is IntTensor -> DoubleArray(tensor.size) { tensor.values[it].toDouble() }
    is HalfTensor -> DoubleArray(tensor.size) { halfValue(tensor.bits[it]).toDouble() }
    is ByteTensor -> DoubleArray(tensor.size) { byteValue(tensor.dtype, tensor.values[it]).toDouble() }
}

/** What a byte of a tensor stands for. */
internal fun byteValue(dtype: Dtype, byte: Byte): Int =
    if (dtype == Dtype.UINT8) byte.toInt() and 0xff else byte.toInt()
