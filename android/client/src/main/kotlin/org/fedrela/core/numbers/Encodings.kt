package org.fedrela.core.numbers

import org.fedrela.core.InvalidInput
import org.fedrela.core.task.Aggregation
import org.fedrela.core.task.Encoding
import org.fedrela.core.tensors.ByteTensor
import org.fedrela.core.tensors.Dtype
import org.fedrela.core.tensors.FloatTensor
import org.fedrela.core.tensors.HalfTensor
import org.fedrela.core.tensors.IntTensor
import org.fedrela.core.tensors.Tensor
import org.fedrela.core.tensors.Tensors
import org.fedrela.core.tensors.allFinite
import org.fedrela.core.tensors.floats
import org.fedrela.core.tensors.isInfiniteHalf
import org.fedrela.core.tensors.scalar
import org.fedrela.core.tensors.writeTensors
import org.fedrela.core.wire.PROTOCOL

private const val LARGEST_STEP = 127

/** An update as it travels, and what top-k dropped (else empty), to be passed in as the next `residual`. */
internal class Encoded(public val body: ByteArray, public val residual: Tensors)

/**
 * The update body of a change of weights, which is in manifest order. `statistics` travel whole in every encoding, and
 * owe nothing. `stream` feeds int8's stochastic rounding. Throws [InvalidInput] where a value is not finite in the
 * encoding.
 */
internal fun encode(
    change: Tensors,
    aggregation: Aggregation,
    examples: Int,
    stream: Stream,
    statistics: Set<String>,
    residual: Tensors = emptyMap(),
): Encoded {
    for (name in change.keys) if (!allFinite(change.floats(name))) throw notFinite(name)
    val parameters = change.filterKeys { it !in statistics }
    val sum = if (residual.isEmpty()) parameters else add(parameters, residual)
    val encoded = when (aggregation.encoding) {
        Encoding.FLOAT32 -> parameters
        Encoding.FLOAT16 -> float16(parameters)
        Encoding.INT8 -> int8(parameters, stream)
        Encoding.TOP_K -> largest(sum, aggregation.topKFraction)
    }
    val metadata = mapOf(
        "encoding" to aggregation.encoding.word,
        "examples" to examples.toString(),
        "protocol" to PROTOCOL.toString(),
    )
    val body = writeTensors(encoded + change.filterKeys { it in statistics }, metadata)
    return Encoded(body, if (aggregation.encoding == Encoding.TOP_K) dropped(sum, encoded) else emptyMap())
}

private fun float16(change: Tensors): Tensors = change.mapValues { (name, tensor) ->
    val values = change.floats(name)
    val bits = ShortArray(values.size) { halfBits(values[it]) }
    if (bits.any { isInfiniteHalf(it.toInt()) }) throw notFinite(name)
    HalfTensor(tensor.shape, bits)
}

/** Steps of a scale per tensor, rounded at random; every operation is of float32. */
private fun int8(change: Tensors, stream: Stream): Tensors {
    val drawn = uniforms(stream, change.values.sumOf { it.size })
    val encoded = LinkedHashMap<String, Tensor>()
    var start = 0
    for ((name, tensor) in change) {
        val values = change.floats(name)
        val scale = values.fold(0f) { largest, value -> maxOf(largest, Math.abs(value)) } / LARGEST_STEP
        val steps = ByteArray(values.size) {
            if (scale > 0f) step(values[it] / scale + drawn[start + it]) else 0
        }
        start += values.size
        encoded[name] = ByteTensor(Dtype.INT8, tensor.shape, steps)
        encoded["$name.scale"] = scalar(scale)
    }
    return encoded
}

private fun step(value: Float): Byte =
    Math.floor(value.toDouble()).coerceIn(-LARGEST_STEP.toDouble(), LARGEST_STEP.toDouble()).toInt().toByte()

/** The largest elements of each tensor, the lower index first on a tie. */
private fun largest(change: Tensors, fraction: Double): Tensors {
    val encoded = LinkedHashMap<String, Tensor>()
    for (name in change.keys) {
        val values = change.floats(name)
        val count = minOf(maxOf(Math.ceil(fraction * values.size).toInt(), 1), values.size)
        val byMagnitude = values.indices.sortedByDescending { Math.abs(values[it]) }
        val indices = byMagnitude.take(count).sorted().toIntArray()
        encoded["$name.indices"] = IntTensor(listOf(count), indices)
        encoded["$name.values"] = FloatTensor(listOf(count), FloatArray(count) { values[indices[it]] })
    }
    return encoded
}

/** What the largest elements leave out. */
private fun dropped(change: Tensors, encoded: Tensors): Tensors = change.mapValues { (name, tensor) ->
    val rest = change.floats(name).copyOf()
    for (index in (encoded.getValue("$name.indices") as IntTensor).values) rest[index] = 0f
    FloatTensor(tensor.shape, rest)
}

private fun add(left: Tensors, right: Tensors): Tensors = left.mapValues { (name, tensor) ->
    val (values, other) = left.floats(name) to right.floats(name)
    FloatTensor(tensor.shape, FloatArray(values.size) { values[it] + other[it] })
}

private fun notFinite(name: String) =
    InvalidInput("tensor '$name' holds a value that is not finite", "lower the learning rate")
