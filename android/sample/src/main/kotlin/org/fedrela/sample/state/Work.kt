package org.fedrela.sample.state

import org.fedrela.android.LastAttempt
import org.fedrela.client.Event

private const val LARGEST_HELD = 3 // reasons; more in one sentence nobody reads

/** What the phone does for the task right now. */
internal sealed interface Work {
    data object Idle : Work
    data object Asking : Work
    data class Preparing(val round: Long) : Work
    data class Training(val round: Long, val step: Int, val steps: Int) : Work
    data class HandingIn(val round: Long) : Work
    data class Held(val why: List<Hold>) : Work
    data class Grouping(val round: Long) : Work
    data class Sent(val round: Long, val isHidden: Boolean) : Work
    data class Waiting(val why: Wait) : Work
    data object Stopping : Work
    data object Paused : Work

    /** Whether a button to pause makes sense. */
    val isBusy: Boolean
        get() = when (this) {
            is Asking, is Preparing, is Training, is HandingIn, is Held, is Grouping -> true
            is Idle, is Sent, is Waiting, is Stopping, is Paused -> false
        }
}

/** Why training waits, by the rule's field. */
internal enum class Hold(val fields: Set<String>) {
    BATTERY(setOf("min_battery_percent")),
    NETWORK(setOf("require_unmetered_network")),
    HEAT(setOf("max_cpu_celsius", "refuse_when_throttled", "max_load_per_core")),
    SPACE(setOf("min_free_disk_bytes", "min_free_memory_bytes")),
    HOURS(setOf("hours")),
    OTHER(emptySet()),
}

/** Why the coordinator has nothing to do, by its word. */
internal enum class Wait(val word: String) {
    NO_TASK("no-task"),
    ROUND_FULL("round-full"),
    REPORTED("reported"),
    TOO_SOON("too-soon"),
    NOT_SELECTED("not-selected"),
    VERSION("version"),
    RUNTIME("runtime"),
    PAUSED("paused"),
    FINISHED("finished"),
    LATER("later"),
}

/** The holds that a client's own list of fields means; each once. */
internal fun holdsOf(fields: String): List<Hold> = fields.split(", ")
    .map { field -> Hold.entries.find { field in it.fields } ?: Hold.OTHER }.distinct().take(LARGEST_HELD)

/** What is done after an event of the client. `before`: what was done until then. */
internal fun workAfter(event: Event, before: Work): Work = when (event.kind) {
    Event.Kind.ASSIGNED, Event.Kind.READY, Event.Kind.RELABELED, Event.Kind.RESUMED -> Work.Preparing(event.round)
    Event.Kind.STEP ->
        if (event.step < event.steps) Work.Training(event.round, event.step, event.steps)
        else Work.HandingIn(event.round)
    Event.Kind.PAUSED -> Work.Held(holdsOf(event.detail))
    Event.Kind.GROUP -> Work.Grouping(event.round)
    Event.Kind.UPLOADED -> Work.Sent(event.round, isHidden = before is Work.Grouping)
    Event.Kind.DROPPED -> Work.Idle
    Event.Kind.NEW_KEY, Event.Kind.NEW_EPOCH -> before
}

/** What is done after the newest attempt has ended. */
internal fun workAfter(last: LastAttempt?, before: Work): Work = when (last?.end) {
    LastAttempt.End.UPLOADED -> before as? Work.Sent ?: Work.Sent(last.round, isHidden = false)
    LastAttempt.End.WAITING -> waiting(last.detail)
    null, LastAttempt.End.DROPPED, LastAttempt.End.STOPPED, LastAttempt.End.AWAY, LastAttempt.End.FORGOTTEN -> Work.Idle
}

/** A coordinator's word, or the owner's own conditions. */
private fun waiting(reason: String): Work {
    val known = Wait.entries.find { it.word == reason }
    return known?.let { Work.Waiting(it) } ?: Work.Held(holdsOf(reason))
}
