package org.fedrela.client.training

import org.fedrela.client.engine.Engine
import org.fedrela.client.engine.predictWeights
import org.fedrela.core.InvalidInput
import org.fedrela.core.numbers.Stream
import org.fedrela.core.numbers.derive
import org.fedrela.core.numbers.uniforms
import org.fedrela.core.program.ProgramInput
import org.fedrela.core.program.ProgramName
import org.fedrela.core.program.Role
import org.fedrela.core.program.sized
import org.fedrela.core.task.Task
import org.fedrela.core.task.generation
import org.fedrela.core.tensors.FloatTensor
import org.fedrela.core.tensors.LongTensor
import org.fedrela.core.tensors.Tensor
import org.fedrela.core.tensors.Tensors
import org.fedrela.core.tensors.elements
import org.fedrela.core.tensors.floats
import org.fedrela.core.tensors.longs
import org.fedrela.core.tensors.scalar

private const val PREDICT_BATCH = 256

/**
 * What the numbers of one device's round depend on, beside its data and the global weights. Every random number comes
 * from a stream for a purpose, so a round can be resumed at any step, and written again in another language.
 * `maxSteps`: the owner's limit on steps; 0: none.
 */
public class LocalRound(
    public val task: Task,
    public val round: Long,
    public val secret: ByteArray,
    public val maxSteps: Int = 0,
) {
    /** Which re-labeling this round trains on; 0: the original labels. */
    public val generation: Int get() = generation(task, round)

    internal fun stream(vararg purpose: Any): Stream = derive(secret, "fedrela/v1", task.seed, round, *purpose)
}

/** How many steps a round over so many samples has. */
internal fun stepCount(local: LocalRound, samples: Int): Int {
    val needed = stepsPerEpoch(local.task, samples).toLong() * local.task.local.epochs
    val limits = listOf(local.task.local.maxSteps, local.maxSteps).filter { it > 0 }
    return minOf(needed, (limits.minOrNull() ?: Int.MAX_VALUE).toLong()).toInt()
}

internal fun stepsPerEpoch(task: Task, samples: Int): Int = (samples + task.local.batchSize - 1) / task.local.batchSize

/**
 * New labels (n,) from the global model's probabilities, averaged over the task's passes. `between` is called before
 * each batch, and may throw.
 */
public fun relabel(
    engine: Engine,
    local: LocalRound,
    weights: Tensors,
    examples: Examples,
    between: () -> Unit = {},
): LongArray {
    val shape = listOf(examples.size, engine.manifest.classes)
    val byRole = mapOf<Role, Tensor>(
        Role.PROBABILITIES to FloatTensor(shape, predict(engine, local, weights, examples, between)),
        Role.LABELS to LongTensor(listOf(examples.size), examples.y),
        Role.UNIFORMS to FloatTensor(shape, uniforms(local.stream("relabel-draw"), elements(shape))),
        Role.THRESHOLD_PERCENT to scalar(local.task.relabel.thresholdPercent.toFloat()),
    )
    val inputs = engine.manifest.relabel.inputs.associate { it.name to byRole.getValue(it.role) }
    val labels = engine.run(ProgramName.RELABEL, inputs).longs("new_labels")
    if (labels.size != examples.size || labels.any { it !in 0 until engine.manifest.classes.toLong() })
        throw InvalidInput("the re-labeling gave what are no labels", "tell the operator to export the model again")
    return labels
}

/**
 * Probabilities (n, C): the mean over the passes, summed in float64, rounded to float32 once. Without random inputs
 * every pass gives the same, so one is enough. Throws [InvalidInput] for a prediction that is no number.
 */
internal fun predict(
    engine: Engine,
    local: LocalRound,
    weights: Tensors,
    examples: Examples,
    between: () -> Unit = {},
): FloatArray {
    val manifest = engine.manifest
    val randoms = manifest.predict.inputs(Role.RANDOM)
    val passes = if (randoms.isEmpty()) 1 else local.task.relabel.passes
    val model = predictWeights(manifest, weights)
    val total = DoubleArray(elements(listOf(examples.size, manifest.classes)))
    for (pass in 0 until passes)
        for (start in 0 until examples.size step PREDICT_BATCH) {
            between()
            val size = minOf(PREDICT_BATCH, examples.size - start)
            val rows = IntArray(size) { start + it }
            val drawn = randoms.associate { item ->
                item.name to draw(item, size, local.stream("relabel-pass", pass, start / PREDICT_BATCH, item.name))
            }
            val inputs = model + examples.x.mapValues { takeRows(it.value, rows) } + drawn
            addTo(total, start * manifest.classes, engine.run(ProgramName.PREDICT, inputs).floats("probabilities"))
        }
    if (total.any { it.isNaN() || it.isInfinite() })
        throw InvalidInput(
            "the global model's predictions on these examples are not finite",
            "look for far larger values",
        )
    return FloatArray(total.size) { (total[it] / passes).toFloat() }
}

private fun addTo(total: DoubleArray, start: Int, probabilities: FloatArray) {
    if (start + probabilities.size > total.size)
        throw InvalidInput("predict gave more probabilities than there are examples", "export the model again")
    for (at in probabilities.indices) total[start + at] += probabilities[at].toDouble()
}

/** A random input's values for a batch. */
internal fun draw(item: ProgramInput, batch: Int, stream: Stream): Tensor {
    val shape = sized(item.shape, mapOf("B" to batch))
    return FloatTensor(shape, uniforms(stream, elements(shape)))
}

/** The update: local minus global weights, in manifest order. */
internal fun change(carried: Tensors, weights: Tensors): Tensors = weights.mapValues { (name, tensor) ->
    val (after, before) = carried.floats(name) to weights.floats(name)
    FloatTensor(tensor.shape, FloatArray(before.size) { after[it] - before[it] })
}
