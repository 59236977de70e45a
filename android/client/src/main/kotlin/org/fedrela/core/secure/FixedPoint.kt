package org.fedrela.core.secure

import org.fedrela.core.InvalidInput
import org.fedrela.core.tensors.allFinite
import org.fedrela.core.wire.EvaluationReport

// An update as whole numbers of 32 bits whose sum over a group can't overflow. A vector is blocks of the update
// (parameters, and buffers such as BatchNorm's statistics), then the extras. With g the binary logarithm of the largest
// group, rounded up, a block clipped to the L2 norm C has the step s = C * 2^(g - 30), and
//
//     v = floor(w * x / s + u)        in float64, left to right; u uniform in [0, 1), so that v * s is unbiased

private const val SUM_BITS = 30 // a sum's size; of the 31 beside the sign, one is left
private const val LARGEST_COUNT = 4095.0 // of anything that is counted
private const val LARGEST_SAMPLE_LOSS = 10.0
internal const val EVALUATED = 32 // samples of an evaluation, drawn anew each time

/** So many elements of an update that are clipped together, to this L2 norm. */
internal class Block(val size: Int, val clipNorm: Double)

/** What a vector holds. `classes`: of the histogram among the extras. `largestGroup`: members of a sum at most. */
internal class Layout(val blocks: List<Block>, val classes: Int, val largestGroup: Int) {
    val elements: Int get() = blocks.sumOf { it.size }

    /** The value of one unit, for values of up to `bound`: exact, as it is `bound` times a power of two. */
    fun step(bound: Double): Double =
        Math.scalb(bound, Int.SIZE_BITS - Integer.numberOfLeadingZeros(largestGroup - 1) - SUM_BITS)
}

/** What travels beside an update, and is neither weighted nor clipped with it. What isn't used is zero. */
internal class Extras(
    val weight: Double, // of this update in the mean, 0 to 1
    val evaluation: EvaluationReport? = null, // over `EVALUATED` samples
    val histogram: List<Int> = emptyList(), // how many samples of each class
)

/** An extra's value, the largest that it may be, and what one unit of it stands for. */
private class Extra(val value: Double, val bound: Double, val step: Double)

/**
 * A device's vector (d,). `uniforms`: one for each element of the blocks. Each block is clipped first; extras beyond
 * their bounds are clamped. Throws [InvalidInput] where sizes differ from the layout's or a value isn't finite.
 */
internal fun vectorOf(layout: Layout, blocks: List<FloatArray>, extras: Extras, uniforms: FloatArray): IntArray {
    check(layout, blocks, uniforms)
    val weight = extras.weight.coerceIn(0.0, 1.0)
    val body = IntArray(layout.elements)
    var start = 0
    val factors = layout.blocks.zip(blocks, ::clipFactor)
    layout.blocks.forEachIndexed { number, block ->
        val (values, factor) = blocks[number] to factors[number]
        val step = layout.step(block.clipNorm)
        for (at in values.indices)
            body[start + at] = Math.floor(weight * (values[at] * factor) / step + uniforms[start + at]).toInt()
        start += values.size
    }
    return body + extraWords(layout, extras, clipped = if (factors.first() < 1) 1.0 else 0.0) // parameters alone
}

/** By what a block is multiplied to keep its norm within bounds: at most 1. */
private fun clipFactor(block: Block, values: FloatArray): Double {
    val norm = Math.sqrt(values.sumOf { it.toDouble() * it })
    return if (norm > 0) minOf(1.0, block.clipNorm / norm) else 1.0
}

/** Nearest units, halves up, of values clamped to their bounds. */
private fun extraWords(layout: Layout, extras: Extras, clipped: Double): IntArray {
    val histogram = extras.histogram.ifEmpty { List(layout.classes) { 0 } }
    if (histogram.size != layout.classes)
        throw InvalidInput("a histogram has other classes than the layout", "count every class")
    val loss = LARGEST_SAMPLE_LOSS * EVALUATED
    val (evaluated, evaluation) = EVALUATED.toDouble() to extras.evaluation
    val all = listOf(
        Extra(extras.weight, 1.0, layout.step(1.0)),
        Extra(clipped, 1.0, 1.0),
        Extra(evaluation?.lossSum ?: 0.0, loss, layout.step(loss)),
        Extra(evaluation?.correct?.toDouble() ?: 0.0, evaluated, 1.0),
        Extra(evaluation?.examples?.toDouble() ?: 0.0, evaluated, 1.0),
    ) + histogram.map { Extra(it.toDouble(), LARGEST_COUNT, 1.0) }
    return IntArray(all.size) { at ->
        val extra = all[at]
        Math.floor(extra.value.coerceIn(0.0, extra.bound) / extra.step + 0.5).toInt()
    }
}

private fun check(layout: Layout, blocks: List<FloatArray>, uniforms: FloatArray) {
    if (blocks.map { it.size } != layout.blocks.map { it.size } || uniforms.size != layout.elements)
        throw InvalidInput("an update doesn't fit its layout", "flatten the manifest's tensors in order")
    if (!blocks.all(::allFinite))
        throw InvalidInput("an update holds a value that is not finite", "lower the learning rate")
}
