package org.fedrela.core.numbers

import org.fedrela.core.program.Manifest
import org.fedrela.core.program.ProgramInput
import org.fedrela.core.program.ProgramName
import org.fedrela.core.program.Role
import org.fedrela.core.program.sized
import org.fedrela.core.tensors.ByteTensor
import org.fedrela.core.tensors.Dtype
import org.fedrela.core.tensors.FloatTensor
import org.fedrela.core.tensors.HalfTensor
import org.fedrela.core.tensors.IntTensor
import org.fedrela.core.tensors.LongTensor
import org.fedrela.core.tensors.Tensor
import org.fedrela.core.tensors.Tensors
import org.fedrela.core.tensors.elements

// The rules are those of the protocol's page: float32, in the order in which they are written there.

// AdamW's epsilon is large, lest rounding decide its step where a gradient is zero but for rounding.
private val HYPERPARAMETERS = mapOf("lr" to 0.05, "adam_epsilon" to 1e-3)
private const val THRESHOLD_PERCENT = 20f
private const val BYTE_VALUES = 256
private val SECRET = "fedrela golden".toByteArray(Charsets.UTF_8)

/** The inputs of one golden step, by name, but those of some roles. */
public fun goldenInputs(manifest: Manifest, program: ProgramName, step: Int, without: Set<Role> = emptySet()): Tensors {
    val sizes = mapOf("B" to manifest.golden.batch, "N" to 4 * manifest.golden.batch)
    return manifest.programs.getValue(program).inputs.filter { it.role !in without }.associate { item ->
        val shape = sized(item.shape, sizes)
        val origin = if (item.role.isCarried || item.role == Role.ANCHOR) 0 else step
        val stream = derive(SECRET, manifest.golden.seed, program.word, origin, item.name)
        item.name to cast(item.dtype, shape, values(manifest, item, shape, uniforms(stream, elements(shape))))
    }
}

/** The rule for one input. */
private fun values(manifest: Manifest, item: ProgramInput, shape: List<Int>, u: FloatArray): FloatArray {
    val classes = manifest.classes.toFloat()
    return when (item.role) {
        Role.PARAMETER, Role.ANCHOR -> parameter(shape, u)
        Role.BUFFER -> each(u) { it + 0.5f }
        Role.OPTIMIZER -> FloatArray(u.size)
        Role.X -> example(manifest, item, u)
        Role.Y -> each(u) { floor(it * classes) }
        Role.LABELS -> each(u) { floor(it * it * classes) }
        Role.WEIGHT -> FloatArray(u.size) { if (it == u.lastIndex) 0f else 1f }
        Role.HYPERPARAMETER -> each(u) { hyperparameter(manifest, item.name) }
        Role.RANDOM -> u
        Role.UNIFORMS -> each(u) { it * 0.1f }
        Role.CLASS_PRIOR -> shares(each(u) { it + 0.1f }, u.size)
        Role.PROBABILITIES -> shares(each(u) { it + 0.01f }, shape[1])
        Role.THRESHOLD_PERCENT -> each(u) { THRESHOLD_PERCENT }
    }
}

private fun parameter(shape: List<Int>, u: FloatArray): FloatArray {
    if (shape.size < 2) return each(u) { it + 0.5f }
    val bound = Math.sqrt(3.0 / elements(shape.drop(1))).toFloat()
    return each(u) { it * (2 * bound) - bound }
}

private fun example(manifest: Manifest, item: ProgramInput, u: FloatArray): FloatArray {
    val limit = when (item.dtype) {
        Dtype.UINT8 -> BYTE_VALUES
        Dtype.FLOAT32, Dtype.FLOAT16 -> 0
        else -> manifest.golden.tokenLimit
    }
    val isFloat = item.dtype == Dtype.FLOAT32 || item.dtype == Dtype.FLOAT16
    return if (isFloat) each(u) { it * 2f - 1f } else each(u) { floor(it * limit) }
}

private fun hyperparameter(manifest: Manifest, name: String): Float =
    (HYPERPARAMETERS[name] ?: manifest.hyperparameters[name] ?: 0.0).toFloat()

/** Each row divided by its sum. */
private fun shares(positive: FloatArray, row: Int): FloatArray {
    val sums = DoubleArray(positive.size / row)
    positive.forEachIndexed { at, value -> sums[at / row] += value.toDouble() }
    return FloatArray(positive.size) { positive[it] / sums[it / row].toFloat() }
}

private fun each(u: FloatArray, rule: (Float) -> Float) = FloatArray(u.size) { rule(u[it]) }

private fun floor(value: Float): Float = Math.floor(value.toDouble()).toFloat()

private fun cast(dtype: Dtype, shape: List<Int>, values: FloatArray): Tensor = when (dtype) {
    Dtype.FLOAT32 -> FloatTensor(shape, values)
    Dtype.FLOAT16 -> HalfTensor(shape, ShortArray(values.size) { halfBits(values[it]) })
    Dtype.INT64 -> LongTensor(shape, LongArray(values.size) { values[it].toLong() })
    Dtype.INT32 -> IntTensor(shape, IntArray(values.size) { values[it].toInt() })
    Dtype.INT8, Dtype.UINT8, Dtype.BOOL ->
        ByteTensor(dtype, shape, ByteArray(values.size) { values[it].toInt().toByte() })
}
