package org.fedrela.client.training

import org.fedrela.core.task.Eligibility

/** What the device's sensors say; null where there is no such sensor. */
public class Conditions(
    public val onMains: Boolean? = null,
    public val batteryPercent: Double? = null,
    public val isMetered: Boolean? = null,
    public val cpuCelsius: Double? = null,
    public val isThrottled: Boolean? = null,
    public val loadPerCore: Double? = null,
    public val freeDiskBytes: Long? = null,
    public val freeMemoryBytes: Long? = null,
    public val minuteOfDay: Int? = null, // local time, 0 to 1439
)

private const val MINUTES_OF_AN_HOUR = 60

/**
 * Why the device may not train under a rule, by the rule's fields; empty if it may. A missing sensor is no obstacle.
 */
public fun obstacles(now: Conditions, rule: Eligibility): List<String> = listOfNotNull(
    "min_battery_percent".takeIf { isTooEmpty(now, rule.minBatteryPercent) },
    "require_unmetered_network".takeIf { rule.requireUnmeteredNetwork && now.isMetered == true },
    "max_cpu_celsius".takeIf { isAbove(now.cpuCelsius, rule.maxCpuCelsius) },
    "refuse_when_throttled".takeIf { rule.refuseWhenThrottled && now.isThrottled == true },
    "max_load_per_core".takeIf { isAbove(now.loadPerCore, rule.maxLoadPerCore) },
    "min_free_disk_bytes".takeIf { now.freeDiskBytes?.let { it < rule.minFreeDiskBytes } ?: false },
    "min_free_memory_bytes".takeIf { now.freeMemoryBytes?.let { it < rule.minFreeMemoryBytes } ?: false },
    "hours".takeIf { rule.hours.isNotEmpty() && now.minuteOfDay?.let { !isInside(rule.hours, it) } ?: false },
)

private fun isTooEmpty(now: Conditions, leastPercent: Double): Boolean =
    now.onMains != true && now.batteryPercent?.let { it < leastPercent } ?: false

private fun isAbove(value: Double?, limit: Double): Boolean = limit > 0 && value != null && value > limit

/** Whether the hours, "22:00-06:00" as a task is read with them, hold a minute of the day. */
private fun isInside(hours: String, minute: Int): Boolean {
    val (start, end) = hours.split('-').map { time ->
        val (hour, minutes) = time.split(':').map { it.toInt() }
        MINUTES_OF_AN_HOUR * hour + minutes
    }
    return if (start <= end) minute in start until end else minute >= start || minute < end
}
