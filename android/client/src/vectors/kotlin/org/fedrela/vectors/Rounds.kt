package org.fedrela.vectors

import org.fedrela.client.engine.Engine
import org.fedrela.client.training.Examples
import org.fedrela.client.training.LocalRound
import org.fedrela.client.training.Training
import org.fedrela.client.training.relabel
import org.fedrela.core.json.Json
import org.fedrela.core.numbers.relativeError
import org.fedrela.core.program.Manifest
import org.fedrela.core.task.readTask
import org.fedrela.core.tensors.FloatTensor
import org.fedrela.core.tensors.Tensors
import org.fedrela.core.tensors.floats
import org.fedrela.core.tensors.longs
import org.fedrela.core.tensors.readTensors
import org.fedrela.core.trust.fromHex
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue

const val OF_WEIGHTS = 1e-5 // relative to the largest element
const val OF_UPDATE = 1e-4 // an update is a small difference of weights

/** The global weights of a round of the vectors. */
fun weights(folder: String, manifest: Manifest): Tensors =
    readTensors(Vectors.bytes("$folder/weights.safetensors"), manifest.weights)

/** A device's data: inputs as `x.NAME`, or the one input `x`; keyed by row. */
fun examples(folder: String): Examples {
    val tensors = Vectors.tensors("$folder/data.safetensors")
    val y = tensors.longs("y")
    val x = (tensors - "y").mapKeys { it.key.removePrefix("x.") }
    return Examples(x, y, LongArray(y.size) { it.toLong() })
}

internal fun localRound(case: Json) =
    LocalRound(readTask(case["task"].text.toByteArray()), case["round"].long, fromHex(case["secret"].text)!!)

/** What a round gives: the labels that are trained on, and the update. */
internal fun wholeRound(
    engine: Engine,
    local: LocalRound,
    weights: Tensors,
    examples: Examples,
): Pair<LongArray, Tensors> {
    val labels = if (local.generation > 0) relabel(engine, local, weights, examples) else examples.y
    val training = Training(engine, local, weights, examples, labels)
    training.begin().use { state ->
        for (number in 0 until training.steps) training.step(state, number)
        return labels to moves(state.carried(), weights)
    }
}

/** The update is the expected one, and so are the weights that it leads to. */
fun assertUpdate(weights: Tensors, expected: Tensors, update: Tensors) {
    assertEquals(expected.keys - "labels", update.keys.map { "update.$it" }.toSet())
    for (name in update.keys) {
        val (start, want, got) = listOf(weights.floats(name), expected.floats("update.$name"), update.floats(name))
        val error = relativeError(moved(start, want), moved(start, got))
        assertTrue(error <= OF_WEIGHTS, "$name: weights are off by $error")
        assertClose(want, got, name)
    }
}

fun assertClose(want: FloatArray, got: FloatArray, name: String) {
    val error = relativeError(doubles(want), doubles(got))
    assertTrue(error <= OF_UPDATE, "$name is off by $error")
}

private fun moves(carried: Tensors, weights: Tensors): Tensors = weights.mapValues { (name, tensor) ->
    val (after, before) = carried.floats(name) to weights.floats(name)
    FloatTensor(tensor.shape, FloatArray(before.size) { after[it] - before[it] })
}

private fun moved(start: FloatArray, by: FloatArray) = DoubleArray(start.size) { (start[it] + by[it]).toDouble() }

private fun doubles(values: FloatArray) = DoubleArray(values.size) { values[it].toDouble() }
