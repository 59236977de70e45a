package org.fedrela.core.secure

// What a device has masked for: once for a round, twice at most from one checkpoint. A coordinator could say that a
// round was skipped, keep what it was sent, and ask again with a group that differs by one member: the difference of
// the two sums would be that member's update.

private const val MOST_FROM_ONE_CHECKPOINT = 2L
private const val MOST_REMEMBERED = 4096 // tasks and checkpoints; those that came up longest ago are forgotten

/** By task the highest round masked for; by the checkpoint's SHA-256 how often an update from it was masked. */
internal data class Ledger(
    val rounds: Map<String, Long> = emptyMap(),
    val checkpoints: Map<String, Long> = emptyMap(),
)

/** The ledger with one more upload, to be stored before it is sent. Throws IntegrityError for one too many. */
internal fun entered(ledger: Ledger, task: String, round: Long, checkpointSha256: String): Ledger {
    if (round <= (ledger.rounds[task] ?: 0L))
        throw refused("this device has masked for round $round of the task already")
    val times = (ledger.checkpoints[checkpointSha256] ?: 0L) + 1
    if (times > MOST_FROM_ONE_CHECKPOINT) throw refused("this device has masked two updates from these weights already")
    return Ledger(with(ledger.rounds, task, round), with(ledger.checkpoints, checkpointSha256, times))
}

/** The same, with one entry that is the newest now. */
private fun with(known: Map<String, Long>, key: String, value: Long): Map<String, Long> =
    ((known - key).entries.map { it.toPair() } + (key to value)).takeLast(MOST_REMEMBERED).toMap()
