package org.fedrela.core.secure

import org.fedrela.core.program.Manifest
import org.fedrela.core.task.Aggregation
import org.fedrela.core.task.Task
import org.fedrela.core.tensors.TensorSpec
import org.fedrela.core.tensors.Tensors
import org.fedrela.core.tensors.elements
import org.fedrela.core.tensors.floats

// What a task and its model mean for secure rounds: what stands where in a vector. The update's parameters in the
// manifest's order, then its statistics in that order where the model has some, each flattened row by row; then the
// extras.

/**
 * What a member's vector holds, and its steps, in a round of that clipping norm. Throws
 * [org.fedrela.core.IntegrityError] for one that a round of this task can't have.
 */
internal fun layoutOf(task: Task, manifest: Manifest, clipMillionths: Long): Layout {
    val norms = listOf(clipNorm(task.privacy, clipMillionths), task.privacy.statisticsClipNorm)
    return Layout(
        blocks(manifest).zip(norms) { specs, norm -> Block(specs.sumOf { elements(it.shape) }, norm) },
        manifest.classes,
        minOf(2 * task.privacy.groupTarget - 1, LARGEST_GROUP),
    )
}

/** The blocks of an update, one array each. */
internal fun flattened(change: Tensors, manifest: Manifest): List<FloatArray> = blocks(manifest).map { specs ->
    val values = FloatArray(specs.sumOf { elements(it.shape) })
    var start = 0
    for (spec in specs) {
        val own = change.floats(spec.name)
        own.copyInto(values, start)
        start += own.size
    }
    values
}

/** What a device's update counts in the mean, 0 to 1: all the same, unless the task weighs by examples. */
internal fun weightOf(aggregation: Aggregation, examples: Int): Double =
    if (aggregation.weighByExamples) minOf(examples, aggregation.maxExamples).toDouble() / aggregation.maxExamples
    else 1.0

private fun blocks(manifest: Manifest): List<List<TensorSpec>> {
    val (statistics, parameters) = manifest.weights.partition { it.name in manifest.statistics }
    return listOf(parameters, statistics).filter { it.isNotEmpty() }
}
