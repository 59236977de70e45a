package org.fedrela.client.secure

import org.fedrela.client.World
import org.fedrela.client.network.Api
import org.fedrela.client.network.printable
import org.fedrela.client.storage.HeldAssignment
import org.fedrela.client.storage.Identity
import org.fedrela.client.storage.LONGEST_LEASE_SECONDS
import org.fedrela.client.storage.SESSION
import org.fedrela.client.storage.StateFolder
import org.fedrela.client.storage.saveAssignment
import org.fedrela.core.AssignmentFailed
import org.fedrela.core.FailureCode
import org.fedrela.core.Refused
import org.fedrela.core.secure.KEY_BYTES
import org.fedrela.core.secure.Member
import org.fedrela.core.secure.Secrets
import org.fedrela.core.secure.SecureStep
import org.fedrela.core.secure.Terms
import org.fedrela.core.secure.Work
import org.fedrela.core.secure.agree
import org.fedrela.core.secure.mask
import org.fedrela.core.secure.offered
import org.fedrela.core.secure.refused
import org.fedrela.core.secure.reveal
import org.fedrela.core.secure.secureJson
import org.fedrela.core.secure.share
import org.fedrela.core.task.Task
import org.fedrela.core.trust.publicKeyOf
import org.fedrela.core.trust.randomHex

private const val PAUSE_SECONDS = 1.0 // before new keys, and where the coordinator repeats itself
private const val LONGEST_PAUSE_SECONDS = 60.0 // between two questions, whatever the coordinator says
private const val OUT_OF_TURN = "out-of-turn" // the group has gone on meanwhile; its next step says how

/**
 * A device's turn in a group: keys, shares, the masked update, its word on who is left, the shares that it reveals.
 * Each message is stored before it is sent. What the coordinator says is checked: a lie is an IntegrityError, and
 * nothing more is sent. `vector` (d,): what is hidden. Read [run] first.
 */
internal class GroupTurn(
    private val api: Api,
    private val folder: StateFolder,
    held: HeldAssignment,
    private val task: Task,
    private val identity: Identity,
    private val vector: IntArray,
    private val world: World,
    private val tell: (String) -> Unit,
) {
    private val held = waiting(held, task, world.now())
    private val assignment = held.assignment
    private val terms = Terms(
        assignment.assignmentId,
        Work(
            assignment.taskSha256,
            assignment.manifestSha256,
            assignment.checkpointSha256,
            assignment.round,
            assignment.clipMillionths,
        ),
        identity.population,
        publicKeyOf(identity.privateKey),
        task.privacy.groupMinimum,
        identity.fleet,
    )

    /** The step that ends the turn, done or closed; null where the device was told to stop: it goes on later. */
    fun run(): SecureStep? {
        saveAssignment(folder, held)
        var member = begin()
        var answered: SecureStep? = null
        while (!world.isStopped) {
            if (world.now() > held.uploadUntil)
                throw AssignmentFailed(FailureCode.TIMED_OUT, "no group came about in time")
            val step = api.secureStep(assignment)
            if (step is SecureStep.Done || step is SecureStep.Closed) return step
            if (step is SecureStep.Again) {
                member = anew(member, step.reason)
            } else if (step is SecureStep.Wait || step == answered) {
                val seconds = (step as? SecureStep.Wait)?.retryAfterSeconds ?: PAUSE_SECONDS
                world.sleep(minOf(seconds, LONGEST_PAUSE_SECONDS))
                answered = null
            } else {
                member = answer(member, step)
                answered = step
            }
        }
        return null
    }

    /** A session with new keys; or the one that was under way, its keys sent again unless they have arrived. */
    private fun begin(): Member {
        val member = keptSession(folder, terms) ?: offered(terms, drawn(), identity.privateKey).also(::keep)
        if (member.roster == null) api.secure(assignment, "keys", secureJson(member.keys))
        return member
    }

    private fun anew(member: Member, reason: String): Member {
        if (member.wordsSha256.isNotEmpty())
            throw refused("this device has masked its update, and is asked for another session")
        tell("the group broke up (${printable(reason)}); nothing was masked, so with new keys into another")
        folder.delete(SESSION)
        world.sleep(PAUSE_SECONDS)
        return begin()
    }

    /** Check what the coordinator says, keep what follows from it, then send. */
    private fun answer(member: Member, step: SecureStep): Member = try {
        when (step) {
            is SecureStep.Share -> shareOut(member, step)
            is SecureStep.Mask -> sendMasked(member, step)
            is SecureStep.Agree -> signSurvivors(member, step)
            is SecureStep.Reveal -> revealShares(member, step)
            else -> member
        }
    } catch (refusal: Refused) {
        if (refusal.code != OUT_OF_TURN) throw refusal
        keptSession(folder, terms) ?: member
    }

    private fun shareOut(member: Member, step: SecureStep.Share): Member {
        val (next, shares) = share(member, step.roster)
        keep(next)
        tell("in a group of ${step.roster.members.size}, ${step.roster.threshold} of which can open its sum")
        api.secure(assignment, "shares", secureJson(shares))
        return next
    }

    private fun sendMasked(member: Member, step: SecureStep.Mask): Member {
        val (next, masked) = mask(member, step.inbox, vector, identity.privateKey)
        if (member.wordsSha256.isEmpty()) checkMasked(folder, assignment)
        // In this order: a device killed between the two has been checked, and goes on with the same words.
        keep(next)
        noteMasked(folder, assignment)
        tell("sends its update hidden among ${step.inbox.sealed.size + 1}: only the sum of all can be read")
        api.update(assignment, masked.body)
        return next
    }

    private fun signSurvivors(member: Member, step: SecureStep.Agree): Member {
        val (next, agreement) = agree(member, step.survivors, identity.privateKey)
        keep(next)
        api.secure(assignment, "agreement", secureJson(agreement))
        return next
    }

    private fun revealShares(member: Member, step: SecureStep.Reveal): Member {
        val (next, revealed) = reveal(member, step.agreements)
        keep(next)
        tell("opens the sum of ${revealed.own.size} updates")
        api.secure(assignment, "reveal", secureJson(revealed))
        return next
    }

    private fun keep(member: Member) = keepSession(folder, member)
}

/** New secrets from the system's randomness. */
private fun drawn() = Secrets(randomHex(KEY_BYTES), randomHex(KEY_BYTES), randomHex(KEY_BYTES), randomHex(KEY_BYTES))

/**
 * The same assignment, kept while its group comes about: waiting counts against no lease. A group below its minimum
 * waits to the round's deadline; each of its phases has a time of its own.
 */
private fun waiting(held: HeldAssignment, task: Task, now: Double): HeldAssignment {
    if (held.groupUntil > 0) return held
    val phases = 3 * task.privacy.phaseSeconds + task.round.uploadLeaseSeconds
    val seconds = task.round.deadlineSeconds + task.privacy.gatherSeconds + phases
    return held.copy(groupUntil = now + minOf(seconds, LONGEST_LEASE_SECONDS))
}
