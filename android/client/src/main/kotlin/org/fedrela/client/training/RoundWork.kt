package org.fedrela.client.training

import org.fedrela.client.Event
import org.fedrela.client.Settings
import org.fedrela.client.World
import org.fedrela.client.engine.StepTotals
import org.fedrela.client.engine.TrainingState
import org.fedrela.client.engine.isUsable
import org.fedrela.client.network.Job
import org.fedrela.client.storage.EVALUATED
import org.fedrela.client.storage.HeldAssignment
import org.fedrela.client.storage.RESIDUAL
import org.fedrela.client.storage.Snapshot
import org.fedrela.client.storage.StateFolder
import org.fedrela.client.storage.UPDATE
import org.fedrela.client.storage.deleteSnapshot
import org.fedrela.client.storage.loadOverlay
import org.fedrela.client.storage.loadResidual
import org.fedrela.client.storage.loadSnapshot
import org.fedrela.client.storage.saveAssignment
import org.fedrela.client.storage.saveOverlay
import org.fedrela.client.storage.saveSnapshot
import org.fedrela.core.AssignmentFailed
import org.fedrela.core.FailureCode
import org.fedrela.core.InvalidInput
import org.fedrela.core.numbers.encode
import org.fedrela.core.secure.Extras
import org.fedrela.core.secure.flattened
import org.fedrela.core.secure.layoutOf
import org.fedrela.core.secure.weightOf
import org.fedrela.core.task.Encoding
import org.fedrela.core.tensors.Tensors
import org.fedrela.core.tensors.writeTensors
import org.fedrela.core.wire.EvaluationReport

private const val SMALLEST_WEIGHT = 1e-12f

/** What the work on an assignment is done with, beside the assignment: see [org.fedrela.client.DeviceClient]. */
internal class Surroundings(
    val folder: StateFolder,
    val source: ExampleSource,
    val settings: Settings,
    val conditions: () -> Conditions,
    val world: World,
    val emit: (Event) -> Unit,
)

/**
 * A round on a real device: data, overlay, training with checkpoints and pauses, the finished body. Everything that is
 * needed to go on after a kill is kept, and going on gives the same bits. `held` is what the folder holds of the
 * assignment.
 */
internal class RoundWork(
    private val job: Job,
    private var held: HeldAssignment,
    secret: ByteArray,
    private val around: Surroundings,
    private val report: (EvaluationReport) -> Unit,
) {
    private val folder = around.folder
    private val settings = around.settings
    private val local = LocalRound(job.task, job.assignment.round, secret, settings.maxSteps)
    private val pauses = Pauses(job, held, local, around)
    private val taskId = job.assignment.taskId

    /** The finished update's body, kept in the folder; null where the device was told to stop first. */
    fun update(): ByteArray? {
        if (!isUsable(job.engine, job.weights))
            throw AssignmentFailed(FailureCode.MODEL_UNUSABLE, "the global model predicts values that are not finite")
        val loaded = loadExamples(around.source, job.engine.manifest)
        val split = split(loaded, settings.holdoutFraction, local.secret)
        if (split.training.size < local.task.eligibility.minExamples)
            throw AssignmentFailed(FailureCode.NOT_ELIGIBLE, "this device holds fewer examples than the task asks for")
        if (!isHidden) reportEvaluation(split.heldOut)
        if (!pauses.waitUntilEligible()) return null
        val examples = split.training
        val carried = train(examples, labels(examples)) ?: return null
        val body = if (isHidden) hidden(carried, examples.size, split.heldOut) else encoded(carried, examples.size)
        folder.put(UPDATE, body)
        deleteSnapshot(folder)
        return body
    }

    /** Whether the update leaves this device inside a group's sum alone. */
    private val isHidden: Boolean get() = local.task.privacy.isSecure

    /** The labels to train on; re-labels first where this round's generation is new to the device. */
    private fun labels(examples: Examples): LongArray {
        if (local.generation == 0) return examples.y
        val known = loadOverlay(folder, taskId)?.takeIf { it.generation == local.generation }
        return (known ?: relabeled(examples)).labels(examples)
    }

    private fun relabeled(examples: Examples): Overlay {
        val labels = relabel(job.engine, local, job.weights, examples) { pauses.checkLease() }
        val overlay = Overlay.of(examples, labels, local.generation)
        saveOverlay(folder, taskId, overlay)
        tell(Event.Kind.RELABELED)
        return overlay
    }

    /** What was trained, from the last checkpoint if there is one; null where the device was told to stop first. */
    private fun train(examples: Examples, labels: LongArray): Tensors? {
        val training = Training(job.engine, local, job.weights, examples, labels)
        val snapshot = loadSnapshot(folder, job.engine.manifest.carried)
            .takeIf { held.fingerprint.isNotEmpty() && held.fingerprint == examples.fingerprint }
        training.begin(snapshot?.carried).use { state ->
            for (number in (snapshot?.steps ?: 0) until training.steps) {
                checkStep(training.step(state, number), number + 1, training.steps)
                if (number + 1 < training.steps && !goOn(state, number + 1, examples)) return null
            }
            return state.carried()
        }
    }

    /** Between two steps: keep the state where it is due, and wait where something stands in the way. False: stop. */
    private fun goOn(state: TrainingState, done: Int, examples: Examples): Boolean {
        val isStopping = around.world.isStopped
        val obstacles = if (isStopping) emptyList() else pauses.obstacles()
        if (done % settings.checkpointSteps == 0 || isStopping || obstacles.isNotEmpty()) keep(state, done, examples)
        return !isStopping && (obstacles.isEmpty() || pauses.waitUntilEligible())
    }

    /** Tell of a step; throw where it diverged or came too late. */
    private fun checkStep(totals: StepTotals, number: Int, steps: Int) {
        if (totals.lossSum.isNaN() || totals.lossSum.isInfinite())
            throw InvalidInput("the loss is no longer finite", "the operator should lower the task's learning rate")
        val loss = totals.lossSum / maxOf(totals.weightSum, SMALLEST_WEIGHT)
        around.emit(Event(Event.Kind.STEP, taskId, job.assignment.round, number, steps, loss))
        pauses.checkLease()
    }

    /** Keep the training state, so that a restart on the same data goes on from here. */
    private fun keep(state: TrainingState, done: Int, examples: Examples) {
        if (held.fingerprint != examples.fingerprint) {
            deleteSnapshot(folder) // of other data
            held = held.copy(fingerprint = examples.fingerprint)
            saveAssignment(folder, held)
        }
        saveSnapshot(folder, Snapshot(done, state.carried()))
    }

    /** The update as words that a group hides, with totals over samples drawn for this round alone. */
    private fun hidden(carried: Tensors, samples: Int, heldOut: Examples): ByteArray {
        val rows = evaluatedRows(heldOut.size, local.stream("evaluate"))
        val evaluation = if (mayEvaluate && rows.isNotEmpty()) evaluation(heldOut.take(rows)) else null
        val (task, manifest) = job.task to job.engine.manifest
        val layout = layoutOf(task, manifest, job.assignment.clipMillionths)
        val extras = Extras(weightOf(task.aggregation, samples), evaluation)
        val blocks = flattened(change(carried, job.weights), manifest)
        return vectorBody(layout, blocks, extras, local.stream("encode"))
    }

    /** The update's body. What its encoding drops is kept before anything is sent. */
    private fun encoded(carried: Tensors, samples: Int): ByteArray {
        val (manifest, aggregation) = job.engine.manifest to local.task.aggregation
        val isOwing = aggregation.encoding == Encoding.TOP_K
        val encoded = encode(
            change(carried, job.weights),
            aggregation,
            samples,
            local.stream("encode"),
            manifest.statistics,
            if (isOwing) loadResidual(folder, taskId, manifest.parameters) else emptyMap(),
        )
        if (encoded.residual.isNotEmpty()) folder.put(RESIDUAL, writeTensors(encoded.residual))
        return encoded.body
    }

    /** Totals over the hold-out, once a round, if the task asks and the owner allows. */
    private fun reportEvaluation(heldOut: Examples) {
        if (!mayEvaluate || heldOut.size == 0 || folder.get(EVALUATED) != null) return
        report(evaluation(heldOut))
        folder.put(EVALUATED, ByteArray(0))
    }

    private val mayEvaluate: Boolean get() = local.task.localEvaluation && settings.allowEvaluation

    private fun evaluation(heldOut: Examples): EvaluationReport =
        evaluate(job.engine, local, job.weights, heldOut) { pauses.checkLease() }

    private fun tell(kind: Event.Kind) = around.emit(Event(kind, taskId, job.assignment.round))
}
