package org.fedrela.android

import org.fedrela.client.Event
import org.fedrela.client.storage.Identity

/** How a device stands. */
public class Status(
    public val identity: Identity?, // null: not enrolled
    public val isPaused: Boolean, // by its owner
    public val isWorking: Boolean, // at this moment, in this process
    public val isScheduled: Boolean, // a job waits for its conditions
    public val progress: Event?, // the newest of this process
    public val last: LastAttempt?, // how the newest assignment, or the newest wait for one, ended
)

/**
 * How an attempt ended. `at`: seconds since 1970; `round`: 0 where there was none; `detail`: for the owner to read;
 * `code`: the coordinator's word, or this device's, for why an assignment was dropped.
 */
public data class LastAttempt(
    val at: Double,
    val end: End,
    val round: Long = 0,
    val detail: String = "",
    val code: String = "",
) {
    /** `AWAY`: nobody answered, or it can't be worked now; `FORGOTTEN`: the coordinator knows this device no more. */
    public enum class End { UPLOADED, WAITING, DROPPED, STOPPED, AWAY, FORGOTTEN }
}
