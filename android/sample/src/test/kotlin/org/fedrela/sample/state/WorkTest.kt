package org.fedrela.sample.state

import org.fedrela.android.LastAttempt
import org.fedrela.android.LastAttempt.End
import org.fedrela.client.Event
import org.fedrela.client.training.Conditions
import org.fedrela.client.training.obstacles
import org.fedrela.core.task.Eligibility
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Test

class WorkTest {
    private fun event(kind: Event.Kind, step: Int = 0, detail: String = "") =
        Event(kind, "digits", 3, step = step, steps = 10, detail = detail)

    @Test
    fun `what a client tells is what is shown`() {
        val shown = listOf(
            event(Event.Kind.ASSIGNED) to Work.Preparing(3),
            event(Event.Kind.STEP, step = 4) to Work.Training(3, 4, 10),
            event(Event.Kind.STEP, step = 10) to Work.HandingIn(3),
            event(Event.Kind.PAUSED, detail = "min_battery_percent, hours") to
                Work.Held(listOf(Hold.BATTERY, Hold.HOURS)),
            event(Event.Kind.GROUP) to Work.Grouping(3),
            event(Event.Kind.UPLOADED) to Work.Sent(3, isHidden = false),
            event(Event.Kind.NEW_KEY) to Work.Asking,
        )
        for ((event, work) in shown) assertEquals(work, workAfter(event, Work.Asking), event.kind.name)
    }

    @Test
    fun `only a change that a group has hidden is said to be in a sum`() {
        assertEquals(Work.Sent(3, isHidden = true), workAfter(event(Event.Kind.UPLOADED), Work.Grouping(3)))
        assertEquals(Work.Sent(3, isHidden = false), workAfter(event(Event.Kind.UPLOADED), Work.HandingIn(3)))
    }

    @Test
    fun `every word of a coordinator is shown, and one of the future as a wait`() {
        for (wait in Wait.entries) assertEquals(Work.Waiting(wait), waiting(wait.word))
        assertEquals(Work.Held(listOf(Hold.OTHER)), waiting("something-new"))
    }

    private fun waiting(word: String) = workAfter(LastAttempt(0.0, End.WAITING, 0, word), Work.Asking)

    @Test
    fun `every condition that a client may wait for has a reason`() {
        val worst = Conditions(
            onMains = false, batteryPercent = 1.0, isMetered = true, cpuCelsius = 99.0, isThrottled = true,
            loadPerCore = 9.0, freeDiskBytes = 0, freeMemoryBytes = 0, minuteOfDay = 0,
        )
        val strictest = Eligibility(
            minBatteryPercent = 100.0, requireUnmeteredNetwork = true, maxCpuCelsius = 1.0, refuseWhenThrottled = true,
            maxLoadPerCore = 0.1, minFreeDiskBytes = 1, minFreeMemoryBytes = 1, hours = "10:00-11:00",
        )
        val fields = obstacles(worst, strictest)
        assertEquals(8, fields.size)
        for (field in fields) assertFalse(Hold.OTHER in holdsOf(field), field)
    }

    @Test
    fun `how an attempt ended is said, with its fault`() {
        assertEquals(null, faultOf(LastAttempt(0.0, End.UPLOADED, 3)))
        assertEquals(Fault(Fault.Kind.AWAY), faultOf(LastAttempt(0.0, End.AWAY)))
        assertEquals(Fault(Fault.Kind.REMOVED), faultOf(LastAttempt(0.0, End.FORGOTTEN)))
        val dropped = LastAttempt(0.0, End.DROPPED, 3, "too late", "lease-expired")
        assertEquals(Fault(Fault.Kind.TOO_LATE), faultOf(dropped))
        assertEquals(Fault(Fault.Kind.OTHER, "odd"), faultOf(dropped.copy(code = "unheard-of", detail = "odd")))
    }
}
