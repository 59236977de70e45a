package org.fedrela.sample.words

import android.content.Context
import org.fedrela.sample.R
import org.fedrela.sample.state.Fault
import org.fedrela.sample.state.Hold
import org.fedrela.sample.state.Notice
import org.fedrela.sample.state.SentRow
import org.fedrela.sample.state.Wait
import org.fedrela.sample.state.Work

/** What went wrong, and what happened to the owner's data. */
internal fun sentence(context: Context, fault: Fault): String = when (fault.kind) {
    Fault.Kind.NOT_A_LINK -> context.getString(R.string.fault_not_a_link)
    Fault.Kind.EXPIRED -> context.getString(R.string.fault_expired)
    Fault.Kind.REMOVED -> context.getString(R.string.fault_removed)
    Fault.Kind.STRANGER -> context.getString(R.string.fault_stranger)
    Fault.Kind.DAMAGED -> context.getString(R.string.fault_damaged)
    Fault.Kind.ARITHMETIC -> context.getString(R.string.fault_arithmetic)
    Fault.Kind.AWAY -> context.getString(R.string.fault_away)
    Fault.Kind.NOT_ELIGIBLE -> context.getString(R.string.fault_not_eligible)
    Fault.Kind.TOO_LATE -> context.getString(R.string.fault_too_late)
    Fault.Kind.GROUP_CLOSED -> context.getString(R.string.fault_group_closed)
    Fault.Kind.NORM -> context.getString(R.string.fault_norm)
    Fault.Kind.MODEL -> context.getString(R.string.fault_model)
    Fault.Kind.OTHER -> context.getString(R.string.fault_other, fault.problem)
}

/** What the phone does; `pictures`: how many it could train on. */
internal fun sentence(context: Context, work: Work, pictures: Int): String = when (work) {
    is Work.Idle -> context.getString(if (pictures == 0) R.string.work_pictures else R.string.work_idle)
    is Work.Asking -> context.getString(R.string.work_asking)
    is Work.Preparing -> context.getString(R.string.work_preparing, work.round)
    is Work.Training -> context.getString(R.string.work_training, work.round, work.step, work.steps)
    is Work.HandingIn -> context.getString(R.string.work_handing_in, work.round)
    is Work.Held -> work.why.joinToString(" ") { context.getString(reason(it)) }
    is Work.Grouping -> context.getString(R.string.work_grouping, work.round)
    is Work.Sent -> context.getString(if (work.isHidden) R.string.work_summed else R.string.work_sent, work.round)
    is Work.Waiting -> context.getString(reason(work.why))
    is Work.Stopping -> context.getString(R.string.work_stopping)
    is Work.Paused -> context.getString(R.string.work_paused)
}

private fun reason(hold: Hold): Int = when (hold) {
    Hold.BATTERY -> R.string.held_battery
    Hold.NETWORK -> R.string.held_network
    Hold.HEAT -> R.string.held_heat
    Hold.SPACE -> R.string.held_space
    Hold.HOURS -> R.string.held_hours
    Hold.OTHER -> R.string.held_other
}

private fun reason(wait: Wait): Int = when (wait) {
    Wait.NO_TASK -> R.string.wait_no_task
    Wait.ROUND_FULL -> R.string.wait_round_full
    Wait.REPORTED -> R.string.wait_reported
    Wait.TOO_SOON -> R.string.wait_too_soon
    Wait.NOT_SELECTED -> R.string.wait_not_selected
    Wait.VERSION -> R.string.wait_version
    Wait.RUNTIME -> R.string.wait_runtime
    Wait.PAUSED -> R.string.wait_paused
    Wait.FINISHED -> R.string.wait_finished
    Wait.LATER -> R.string.wait_later
}

/** What the owner has just done. */
internal fun sentence(context: Context, notice: Notice): String {
    val words = context.resources
    return when (notice) {
        is Notice.Added -> listOfNotNull(
            notice.pictures.takeIf { it > 0 }?.let { words.getQuantityString(R.plurals.pictures_added, it, it) },
            notice.refused.takeIf { it > 0 }?.let { words.getQuantityString(R.plurals.pictures_refused, it, it) },
        ).joinToString(" ")
    }
}

/** What a message that left the phone was. */
internal fun nameOf(context: Context, kind: SentRow.Kind): String = context.getString(
    when (kind) {
        SentRow.Kind.TASKS -> R.string.sent_tasks
        SentRow.Kind.JOIN -> R.string.sent_join
        SentRow.Kind.CHECK_IN -> R.string.sent_check_in
        SentRow.Kind.UPDATE -> R.string.sent_update
        SentRow.Kind.GROUP -> R.string.sent_group
        SentRow.Kind.FAILURE -> R.string.sent_failure
        SentRow.Kind.EVALUATION -> R.string.sent_evaluation
        SentRow.Kind.LEAVE -> R.string.sent_leave
        SentRow.Kind.DOWNLOAD -> R.string.sent_download
        SentRow.Kind.OTHER -> R.string.sent_other
    },
)
