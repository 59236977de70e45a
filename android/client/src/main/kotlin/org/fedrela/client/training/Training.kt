package org.fedrela.client.training

import org.fedrela.client.engine.Engine
import org.fedrela.client.engine.StepTotals
import org.fedrela.client.engine.TrainingState
import org.fedrela.core.InvalidInput
import org.fedrela.core.program.Manifest
import org.fedrela.core.program.Role
import org.fedrela.core.task.Synthesis
import org.fedrela.core.task.lrFactor
import org.fedrela.core.tensors.FloatTensor
import org.fedrela.core.tensors.LongTensor
import org.fedrela.core.tensors.Tensor
import org.fedrela.core.tensors.Tensors
import org.fedrela.core.tensors.elements
import org.fedrela.core.tensors.scalar

private const val ANCHOR = "anchor."

/** The steps of one round, on the labels that are trained on; the caller may stop between any two. */
public class Training(
    private val engine: Engine,
    private val local: LocalRound,
    private val weights: Tensors,
    private val examples: Examples,
    private val labels: LongArray,
) {
    private val manifest = engine.manifest
    private val perEpoch = stepsPerEpoch(local.task, examples.size)
    private val y = manifest.trainStep.inputs(Role.Y).single().name
    private val weight = manifest.trainStep.inputs(Role.WEIGHT).single().name
    private val randoms = manifest.trainStep.inputs(Role.RANDOM)
    private val neighbors =
        if (local.task.local.synthesis == Synthesis.SMOTE) nearest(examples, labels) else emptyMap()
    private var plan = EpochPlan(IntArray(0), LongArray(0))
    private var plannedEpoch = -1

    public val steps: Int = stepCount(local, examples.size)

    /** A state from what a snapshot holds; from the global weights without one. */
    public fun begin(snapshot: Tensors? = null): TrainingState =
        engine.train(snapshot ?: started(manifest, weights), fixedInputs())

    /** Step `number`, from 0, in place. */
    public fun step(state: TrainingState, number: Int): StepTotals {
        val epoch = number / perEpoch
        if (epoch != plannedEpoch) {
            plan = epochPlan(local.task.local, labels, { local.stream(*it) }, epoch, neighbors)
            plannedEpoch = epoch
        }
        val from = (number % perEpoch) * local.task.local.batchSize
        return state.step(batch(from, minOf(from + local.task.local.batchSize, examples.size), number))
    }

    private fun batch(from: Int, to: Int, number: Int): Tensors {
        val size = to - from
        val drawn = randoms.associate { it.name to draw(it, size, local.stream("train", number, it.name)) }
        val own = mapOf<String, Tensor>(
            y to LongTensor(listOf(size), plan.labels.copyOfRange(from, to)),
            weight to FloatTensor(listOf(size), FloatArray(size) { 1f }),
        )
        return taken(examples, plan, from, to) + own + drawn
    }

    /** Inputs that stay the same through a round: hyperparameters, class shares, anchors. */
    private fun fixedInputs(): Tensors {
        val step = manifest.trainStep
        return hyperparameters(manifest, local) +
            step.inputs(Role.CLASS_PRIOR).associate { it.name to classPrior(labels, manifest.classes) } +
            step.inputs(Role.ANCHOR).associate { it.name to weights.getValue(it.name.removePrefix(ANCHOR)) }
    }
}

/** What a training state begins with: the global weights, and an optimizer at zero. */
private fun started(manifest: Manifest, weights: Tensors): Tensors = manifest.carried.associate { spec ->
    spec.name to (weights[spec.name] ?: FloatTensor(spec.shape, FloatArray(elements(spec.shape))))
}

/** The task's values over the manifest's defaults; `lr` times the task's factor for this round, rounded once. */
internal fun hyperparameters(manifest: Manifest, local: LocalRound): Tensors {
    val names = manifest.trainStep.inputs(Role.HYPERPARAMETER).map { it.name }
    val own = local.task.local.hyperparameters
    own.keys.find { it !in names }
        ?.let { throw InvalidInput("the program takes no hyperparameter '$it'", "tell the operator") }
    return names.associateWith { name ->
        val value = own[name] ?: manifest.hyperparameters[name]
            ?: throw InvalidInput("nothing sets the hyperparameter '$name'", "tell the operator")
        scalar((if (name == "lr") value * lrFactor(local.task, local.round) else value).toFloat())
    }
}

/** The shares (C,) of the labels that are trained on. They feed the loss and go nowhere else. */
private fun classPrior(labels: LongArray, classes: Int): Tensor {
    val counts = IntArray(classes)
    for (label in labels) counts[label.toInt()] += 1
    return FloatTensor(listOf(classes), FloatArray(classes) { (counts[it].toDouble() / labels.size).toFloat() })
}
