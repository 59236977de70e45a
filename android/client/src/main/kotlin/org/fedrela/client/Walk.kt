package org.fedrela.client

import org.fedrela.client.network.Admission
import org.fedrela.client.network.Api
import org.fedrela.client.network.Downloads
import org.fedrela.client.network.Fetcher
import org.fedrela.client.network.Transport
import org.fedrela.client.network.printable
import org.fedrela.client.secure.GroupTurn
import org.fedrela.client.engine.EngineFactory
import org.fedrela.client.storage.HeldAssignment
import org.fedrela.client.storage.Identity
import org.fedrela.client.storage.UPDATE
import org.fedrela.client.storage.clearAssignment
import org.fedrela.client.storage.commitResidual
import org.fedrela.client.storage.loadAssignment
import org.fedrela.client.storage.saveAssignment
import org.fedrela.client.training.RoundWork
import org.fedrela.client.training.Surroundings
import org.fedrela.client.training.hiddenVector
import org.fedrela.client.training.obstacles
import org.fedrela.core.AssignmentFailed
import org.fedrela.core.FailureCode
import org.fedrela.core.FedRelaError
import org.fedrela.core.IntegrityError
import org.fedrela.core.ProgramFailed
import org.fedrela.core.Refused
import org.fedrela.core.Unavailable
import org.fedrela.core.secure.SecureStep
import org.fedrela.core.task.Task
import org.fedrela.core.trust.fromHex
import org.fedrela.core.trust.randomHex
import org.fedrela.core.wire.Assignment
import org.fedrela.core.wire.CheckInResponse
import org.fedrela.core.wire.checkInRequest
import org.fedrela.core.wire.isSameAs
import org.fedrela.core.wire.knownReason

/** What a check-in calls this client. */
public const val CLIENT: String = "android 0.2.0"

internal const val UNAUTHORIZED = 401
private const val NONCE_BYTES = 16
private const val LONGEST_WAIT_SECONDS = 86_400.0 // a coordinator can't put a device off for longer

/** What came of a check-in. */
private sealed interface Answer {
    class Held(val held: HeldAssignment) : Answer
    class Ended(val outcome: Outcome) : Answer
}

/** The walk of one assignment, from check-in to receipt. Read [runOnce] first. */
internal class Walk(
    identity: Identity,
    transport: Transport,
    private val runtimes: List<EngineFactory>,
    private val around: Surroundings,
) {
    private val folder = around.folder
    private val world = around.world
    private val api = Api(transport)
    private val admission = Admission(api, folder, identity, around.emit)
    private val fetcher =
        Fetcher(Downloads(transport, folder), folder, runtimes, identity.publishers, around.settings)

    fun runOnce(): Outcome {
        val held = resumed() ?: when (val answer = checkIn()) {
            is Answer.Held -> answer.held
            is Answer.Ended -> return answer.outcome
        }
        return try {
            train(held)?.let { upload(held, it) } ?: Outcome.Stopped
        } catch (fault: Unavailable) {
            throw fault
        } catch (refusal: Refused) {
            if (refusal.status == UNAUTHORIZED) throw refusal
            giveUp(held.assignment, refusal.code, refusal.problem)
        } catch (fault: FedRelaError) {
            drop(held.assignment, fault)
        } catch (fault: RuntimeException) {
            drop(held.assignment, ProgramFailed("something unforeseen: $fault", "tell this library's makers", fault))
        } catch (fault: OutOfMemoryError) {
            drop(held.assignment, ProgramFailed("there is not enough memory", "close other apps", fault))
        }
    }

    /** The assignment that was under way at the stop, unless its lease has run out by this device's clock. */
    private fun resumed(): HeldAssignment? = loadAssignment(folder)?.takeIf { world.now() <= it.uploadUntil }

    /** Offer to work. The coordinator alone decides on leases: what it still counts on goes on. */
    private fun checkIn(): Answer {
        val waiting = obstacles(around.conditions(), around.settings.eligibility)
        if (waiting.isNotEmpty()) return waiting(waiting.joinToString(), around.settings.pauseSeconds)
        val nonce = randomHex(NONCE_BYTES)
        val offered = runtimes.map { "${it.name} ${it.version}" }
        return when (val answer = api.checkIn(checkInRequest(admission.identity.population, CLIENT, offered, nonce))) {
            is CheckInResponse.Assigned -> assigned(answer.assignment, nonce)
            is CheckInResponse.Waiting -> {
                forgetFormer()
                waiting(answer.wait.knownReason(), minOf(answer.wait.retryAfterSeconds, LONGEST_WAIT_SECONDS))
            }
        }
    }

    private fun assigned(assignment: Assignment, nonce: String): Answer {
        try {
            admission.admit(assignment, nonce)
        } catch (fault: IntegrityError) {
            return Answer.Ended(drop(assignment, fault))
        }
        val same = loadAssignment(folder)?.takeIf { it.assignment isSameAs assignment }
        if (same == null) forgetFormer()
        val held = same?.copy(assignment = assignment, receivedAt = world.now())
            ?: HeldAssignment(assignment, world.now())
        saveAssignment(folder, held)
        if (same == null) tell(Event.Kind.ASSIGNED, assignment)
        return Answer.Held(held)
    }

    private fun forgetFormer() {
        loadAssignment(folder)?.let { tell(Event.Kind.DROPPED, it.assignment, "its lease ran out meanwhile") }
        clearAssignment(folder)
    }

    /** The update of a round: fetched, verified, re-labeled when due, trained. Null where the stop came first. */
    private fun train(held: HeldAssignment): ByteArray? {
        checkPrivacy(fetcher.task(held.assignment))
        folder.get(UPDATE)?.let { return it }
        fetcher.job(held.assignment).use { job ->
            tell(Event.Kind.READY, held.assignment)
            val secret = checkNotNull(fromHex(admission.identity.secret))
            return RoundWork(job, held, secret, around) { api.evaluation(held.assignment, it) }.update()
        }
    }

    /** Throws [AssignmentFailed] where a task hides this device's update less than its owner asks. */
    private fun checkPrivacy(task: Task) {
        val least = around.settings.smallestGroup
        if (least > 0 && !(task.privacy.isSecure && task.privacy.groupMinimum >= least))
            throw AssignmentFailed(FailureCode.NOT_ELIGIBLE, "the update would not be hidden as this owner asks")
    }

    /** Send the update, or let a group hide it; it may be sent any number of times and counts once. */
    private fun upload(held: HeldAssignment, update: ByteArray): Outcome {
        if (world.now() > held.uploadUntil)
            throw AssignmentFailed(FailureCode.TIMED_OUT, "the lease ran out before the upload")
        hiddenVector(update)?.let { return uploadInGroup(held, it) }
        val receipt = api.update(held.assignment, update)
        commitResidual(folder, held.assignment.taskId)
        return uploaded(held.assignment, receipt.isDuplicate)
    }

    /** Let a group hide the update: the coordinator learns the sum. Where it lies, nothing more is sent. */
    private fun uploadInGroup(held: HeldAssignment, vector: IntArray): Outcome {
        val task = fetcher.task(held.assignment)
        val turn = GroupTurn(api, folder, held, task, admission.identity, vector, world) { text ->
            tell(Event.Kind.GROUP, held.assignment, text)
        }
        val step = try {
            turn.run() ?: return Outcome.Stopped
        } catch (lie: IntegrityError) {
            return giveUp(held.assignment, failureCode(lie).word, lie.problem)
        }
        if (step is SecureStep.Closed) return giveUp(held.assignment, "group-closed", printable(step.reason))
        return uploaded(held.assignment, isDuplicate = false)
    }

    private fun uploaded(assignment: Assignment, isDuplicate: Boolean): Outcome {
        clearAssignment(folder)
        tell(Event.Kind.UPLOADED, assignment)
        return Outcome.Uploaded(assignment.round, isDuplicate)
    }

    /** Give an assignment up and say why, by code. That report may fail: the lease runs out by itself. */
    private fun drop(assignment: Assignment, fault: FedRelaError): Outcome {
        val code = failureCode(fault)
        clearAssignment(folder)
        try {
            api.failure(assignment, code)
        } catch (_: Unavailable) {
            // as above
        } catch (_: Refused) {
            // as above
        }
        return giveUp(assignment, code.word, fault.problem)
    }

    /** Forget an assignment that is lost. */
    private fun giveUp(assignment: Assignment, code: String, problem: String): Outcome {
        clearAssignment(folder)
        tell(Event.Kind.DROPPED, assignment, problem)
        return Outcome.Dropped(assignment.round, code, problem)
    }

    private fun waiting(reason: String, seconds: Double) = Answer.Ended(Outcome.Waiting(reason, seconds))

    private fun tell(kind: Event.Kind, assignment: Assignment, detail: String = "") =
        around.emit(Event(kind, assignment.taskId, assignment.round, detail = detail))
}
