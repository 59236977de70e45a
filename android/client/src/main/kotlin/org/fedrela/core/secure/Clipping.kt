package org.fedrela.core.secure

import org.fedrela.core.IntegrityError
import org.fedrela.core.task.Privacy

// The norm to which devices clip their parameters follows what they have, from round to round. It travels in whole
// millionths, and is part of what members sign.

internal const val MOST_MILLIONTHS = 1_000_000_000_000L // a norm of a million
private const val MILLION = 1_000_000.0
private const val FARTHEST = 1024L // times the task's own

/** The first round's; 0: the task's own, in every round. */
internal fun firstClip(privacy: Privacy): Long = if (isAdaptive(privacy)) ownMillionths(privacy) else 0L

/** A round's as a number. Throws [IntegrityError] for one that a round of this task can't have. */
internal fun clipNorm(privacy: Privacy, millionths: Long): Double {
    if (!isAdaptive(privacy)) {
        if (millionths != 0L) throw refusedClip("has a clipping norm of its own, and the task says one for all rounds")
        return privacy.clipNorm
    }
    val own = ownMillionths(privacy)
    val range = maxOf(own / FARTHEST, 1L)..minOf(own * FARTHEST, MOST_MILLIONTHS)
    if (millionths !in range) throw refusedClip("clips to $millionths millionths, beyond $range")
    return millionths / MILLION
}

private fun isAdaptive(privacy: Privacy) = privacy.isSecure && privacy.clippedShare > 0.0

private fun ownMillionths(privacy: Privacy) = maxOf(Math.floor(privacy.clipNorm * MILLION + 0.5).toLong(), 1L)

private fun refusedClip(problem: String) =
    IntegrityError("the assignment $problem", "nothing was sent; ask the operator what happened")
