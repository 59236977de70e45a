package org.fedrela.client.training

import org.fedrela.core.numbers.Stream
import org.fedrela.core.numbers.permutation
import org.fedrela.core.numbers.uniforms
import org.fedrela.core.task.Local
import org.fedrela.core.task.Sampling
import org.fedrela.core.task.Synthesis
import org.fedrela.core.tensors.Tensors

/**
 * Which samples an epoch trains on: all in random order, or as many of each class; as they are, or interpolated. Slot i
 * is share * x[row] + (1 - share) * x[partner]; without partners it is x[row].
 */
internal class EpochPlan(
    val rows: IntArray,
    val labels: LongArray,
    val partners: IntArray? = null,
    val shares: DoubleArray = DoubleArray(0),
)

/** A stream of the round for a purpose. */
internal typealias Draw = (purpose: Array<out Any>) -> Stream

/** `neighbors`: of rows of minorities, for smote; see [nearest]. */
internal fun epochPlan(
    local: Local,
    labels: LongArray,
    draw: Draw,
    epoch: Int,
    neighbors: Map<Int, IntArray>,
): EpochPlan {
    val n = labels.size
    val rows = when (local.sampling) {
        Sampling.SHUFFLE -> permutation(draw(arrayOf<Any>("shuffle", epoch)), n)
        Sampling.CLASS_BALANCED -> balanced(labels, uniforms(draw(arrayOf<Any>("sample", epoch)), 2 * n))
    }
    if (local.synthesis == Synthesis.NONE) return EpochPlan(rows, pick(labels, rows))
    val u = uniforms(draw(arrayOf<Any>("synthesis", epoch)), 3 * n)
    return if (local.synthesis == Synthesis.MIXUP) mixup(rows, labels, u) else smote(rows, labels, u, neighbors)
}

/** The inputs of slots `from` until `to`. */
internal fun taken(examples: Examples, plan: EpochPlan, from: Int, to: Int): Tensors {
    val rows = plan.rows.copyOfRange(from, to)
    val partners = plan.partners?.copyOfRange(from, to)
    return examples.x.mapValues { (_, tensor) ->
        val own = takeRows(tensor, rows)
        if (partners == null) own
        else interpolate(own, takeRows(tensor, partners), plan.shares.copyOfRange(from, to))
    }
}

/** Label -> its rows in storage order, by ascending label. */
internal fun byClass(labels: LongArray): Map<Long, IntArray> =
    labels.indices.groupBy { labels[it] }.toSortedMap().mapValues { it.value.toIntArray() }

private fun balanced(labels: LongArray, u: FloatArray): IntArray {
    val members = byClass(labels).values.toList()
    return IntArray(labels.size) { slot ->
        val own = members[number(u[2 * slot], members.size)]
        own[number(u[2 * slot + 1], own.size)]
    }
}

private fun mixup(rows: IntArray, labels: LongArray, u: FloatArray): EpochPlan {
    val partners = IntArray(rows.size) { rows[number(u[3 * it], rows.size)] }
    val shares = DoubleArray(rows.size) { u[3 * it + 1].toDouble() }
    val mixed = LongArray(rows.size) { labels[if (u[3 * it + 2] < shares[it]) rows[it] else partners[it]] }
    return EpochPlan(rows, mixed, partners, shares)
}

private fun smote(rows: IntArray, labels: LongArray, u: FloatArray, neighbors: Map<Int, IntArray>): EpochPlan {
    val partners = rows.copyOf()
    val shares = DoubleArray(rows.size) { 1.0 }
    val seen = HashSet<Int>()
    rows.forEachIndexed { slot, row ->
        val near = neighbors[row]
        if (!seen.add(row) && near != null) {
            partners[slot] = near[number(u[3 * slot], near.size)]
            shares[slot] = 1 - u[3 * slot + 1].toDouble()
        }
    }
    return EpochPlan(rows, pick(labels, rows), partners, shares)
}

/** Which of `size` things a uniform number stands for; the product is exact in float64. */
private fun number(uniform: Float, size: Int): Int = Math.floor(uniform.toDouble() * size).toInt()
