package org.fedrela.client.training

import org.fedrela.core.numbers.numbers

private const val NEIGHBORS = 5

/**
 * Row -> its up to 5 nearest rows of the same label, nearest first, on a tie the lower; of classes that have 2 rows or
 * more but fewer than their share. Distances are squares in float64 over all inputs.
 */
internal fun nearest(examples: Examples, labels: LongArray): Map<Int, IntArray> {
    val members = byClass(labels)
    val inputs = examples.x.values.map(::numbers)
    val neighbors = HashMap<Int, IntArray>()
    for (own in members.values) {
        if (own.size < 2 || own.size.toDouble() >= labels.size.toDouble() / members.size) continue
        for (row in own) {
            val distances = own.associateWith { distance(inputs, labels.size, row, it) }
            val ranked = own.filter { it != row }.sortedBy { distances.getValue(it) }
            neighbors[row] = ranked.take(NEIGHBORS).toIntArray()
        }
    }
    return neighbors
}

private fun distance(inputs: List<DoubleArray>, samples: Int, row: Int, other: Int): Double {
    var sum = 0.0
    for (values in inputs) {
        val width = values.size / samples
        for (at in 0 until width) {
            val difference = values[other * width + at] - values[row * width + at]
            sum += difference * difference
        }
    }
    return sum
}
