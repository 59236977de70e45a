package org.fedrela.android

import org.fedrela.android.LastAttempt.End
import org.fedrela.client.DeviceClient
import org.fedrela.client.Outcome
import org.fedrela.client.World
import org.fedrela.client.storage.StateFolder
import org.fedrela.core.FedRelaError
import org.fedrela.core.Refused

private const val UNAUTHORIZED = 401
private const val FIRST_PAUSE_SECONDS = 60.0 // after a failure; twice as long after each further one, up to
private const val LONGEST_PAUSE_SECONDS = 21_600.0
private const val MOST_DOUBLINGS = 16
private const val MILLISECONDS = 1e3

/** How one assignment ended, and what the coordinator asked for. */
private class Attempt(
    val end: End,
    val round: Long,
    val detail: String,
    val retryAfterSeconds: Double = 0.0,
    val code: String = "",
)

/** A stretch of work; see [Fedrela.work]. What happens is kept for the owner before anything else. */
internal fun worked(folder: StateFolder, client: DeviceClient, world: World): Double? {
    if (client.identity() == null) return null
    while (!loadRecord(folder).isPaused) {
        val attempt = attempt(client)
        val seconds = remembered(folder, attempt, world)
        if (attempt.end == End.FORGOTTEN) return null
        if (attempt.end != End.UPLOADED) return seconds
    }
    return null
}

private fun attempt(client: DeviceClient): Attempt = try {
    when (val outcome = client.runOnce()) {
        is Outcome.Uploaded -> Attempt(End.UPLOADED, outcome.round, "")
        is Outcome.Waiting -> Attempt(End.WAITING, 0, outcome.reason, outcome.retryAfterSeconds)
        is Outcome.Dropped ->
            Attempt(End.DROPPED, outcome.round, outcome.problem, outcome.retryAfterSeconds, outcome.code)
        is Outcome.Stopped -> Attempt(End.STOPPED, 0, "")
    }
} catch (refusal: Refused) {
    Attempt(if (refusal.status == UNAUTHORIZED) End.FORGOTTEN else End.AWAY, 0, refusal.problem)
} catch (fault: FedRelaError) {
    Attempt(End.AWAY, 0, fault.problem)
}

/** Keep how it ended; the seconds until the next attempt. */
private fun remembered(folder: StateFolder, attempt: Attempt, world: World): Double {
    val at = System.currentTimeMillis() / MILLISECONDS
    val last = LastAttempt(at, attempt.end, attempt.round, attempt.detail, attempt.code)
    val isFailure = attempt.end == End.DROPPED || attempt.end == End.AWAY
    val record = changeRecord(folder) { former ->
        val failures = when {
            isFailure -> former.failures + 1
            attempt.end == End.STOPPED -> former.failures
            else -> 0
        }
        former.copy(failures = failures, last = last)
    }
    val pause = if (isFailure) pauseSeconds(record.failures) * (0.5 + 0.5 * world.uniform()) else 0.0
    return maxOf(attempt.retryAfterSeconds, pause)
}

/** Before the next attempt, after so many failures in a row. */
private fun pauseSeconds(failures: Int): Double =
    minOf(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * (1 shl minOf(failures - 1, MOST_DOUBLINGS)))
