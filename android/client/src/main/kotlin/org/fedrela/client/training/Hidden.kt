package org.fedrela.client.training

import org.fedrela.core.numbers.Stream
import org.fedrela.core.numbers.permutation
import org.fedrela.core.numbers.uniforms
import org.fedrela.core.secure.EVALUATED
import org.fedrela.core.secure.Extras
import org.fedrela.core.secure.Layout
import org.fedrela.core.secure.vectorOf
import org.fedrela.core.tensors.IntTensor
import org.fedrela.core.tensors.readTensors
import org.fedrela.core.tensors.writeTensors

// A finished update as words of 32 bits: what is hidden in a group. It is kept in place of an update's body, and never
// sent.

private const val VECTOR = "vector"

/** The words of a change of weights, and of what travels beside it, as they are kept. `rounding`: the stream of it. */
internal fun vectorBody(layout: Layout, blocks: List<FloatArray>, extras: Extras, rounding: Stream): ByteArray {
    val vector = vectorOf(layout, blocks, extras, uniforms(rounding, layout.elements))
    return writeTensors(mapOf(VECTOR to IntTensor(listOf(vector.size), vector)), mapOf("encoding" to VECTOR))
}

/** The words (d,) of a finished update that is to be hidden; null for one that isn't. */
internal fun hiddenVector(update: ByteArray): IntArray? {
    val file = readTensors(update)
    return if (file.metadata["encoding"] == VECTOR) (file.tensors.getValue(VECTOR) as IntTensor).values else null
}

/**
 * Which of the samples held out are evaluated this time, ascending: `EVALUATED` drawn anew, or none of too few. A
 * constant that entered two sums would be known by their difference.
 */
internal fun evaluatedRows(heldOut: Int, stream: Stream): IntArray =
    if (heldOut < EVALUATED) IntArray(0) else permutation(stream, heldOut).take(EVALUATED).sorted().toIntArray()
