package org.fedrela.client.training

import org.fedrela.client.Event
import org.fedrela.client.network.Job
import org.fedrela.client.storage.HeldAssignment
import org.fedrela.core.AssignmentFailed
import org.fedrela.core.FailureCode

/** Whether training may go on now: the task's and the owner's conditions, and the lease. */
internal class Pauses(
    private val job: Job,
    private val held: HeldAssignment,
    private val local: LocalRound,
    private val around: Surroundings,
) {
    private val world = around.world
    private var checkedAt = Double.NEGATIVE_INFINITY

    /** Throws [AssignmentFailed] once training must have ended. */
    fun checkLease() {
        if (world.now() > held.trainUntil)
            throw AssignmentFailed(FailureCode.TIMED_OUT, "the lease ran out while training or predicting")
    }

    /** Why training must pause now; the sensors are read every so many seconds. */
    fun obstacles(): List<String> {
        if (world.now() - checkedAt < around.settings.checkSeconds) return emptyList()
        checkedAt = world.now()
        val now = around.conditions()
        return (obstacles(now, local.task.eligibility) + obstacles(now, around.settings.eligibility)).distinct()
    }

    /**
     * Wait until nothing stands in the way; false where the device was told to stop. The lease is no longer than it
     * was.
     */
    fun waitUntilEligible(): Boolean {
        var obstacles = obstaclesNow()
        if (obstacles.isEmpty()) return true
        tell(Event.Kind.PAUSED, obstacles.joinToString())
        while (obstacles.isNotEmpty()) {
            if (world.isStopped) return false
            if (world.now() > held.trainUntil)
                throw AssignmentFailed(FailureCode.NOT_ELIGIBLE, "the lease ran out while training was paused")
            world.sleep(around.settings.pauseSeconds)
            obstacles = obstaclesNow()
        }
        tell(Event.Kind.RESUMED, "")
        return true
    }

    private fun obstaclesNow(): List<String> {
        checkedAt = Double.NEGATIVE_INFINITY
        return obstacles()
    }

    private fun tell(kind: Event.Kind, detail: String) =
        around.emit(Event(kind, job.assignment.taskId, job.assignment.round, detail = detail))
}
