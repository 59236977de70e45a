package org.fedrela.core.task

/** How the learning rate goes over a task's rounds. */
public enum class LrSchedule(public val word: String) { CONSTANT("constant"), COSINE("cosine"), STEP("step") }

/** The feature that a client must have for a rate that falls. */
public const val LR_SCHEDULE: String = "lr-schedule"

private const val HALF_PI = 1.5707963267948966
private const val COSINE_TERMS = 10 // one more changes nothing that float64 shows

/** What the learning rate is multiplied by in a round: the schedule's factor, and what re-labels ask for on top. */
public fun lrFactor(task: Task, round: Long): Double {
    val scheduled = scheduled(task.local.lrSchedule, round, task.rounds)
    return if (generation(task, round) > 0) scheduled * task.relabel.lrScale else scheduled
}

private fun scheduled(schedule: LrSchedule, round: Long, rounds: Int): Double = when (schedule) {
    LrSchedule.CONSTANT -> 1.0
    LrSchedule.STEP -> if (5 * round > 4L * rounds) 0.1 else 1.0
    LrSchedule.COSINE -> cosine((round - 1).toDouble() / rounds * HALF_PI).let { it * it }
}

/**
 * The cosine of an angle from 0 to a quarter turn: its Taylor series from the inside out, in one order of operations,
 * since no language promises the last bit of its own.
 */
private fun cosine(angle: Double): Double {
    val square = angle * angle
    var nested = 1.0
    for (term in COSINE_TERMS downTo 1) nested = 1.0 - square / ((2 * term - 1) * (2 * term)) * nested
    return nested
}
