package org.fedrela.client

import java.util.concurrent.CountDownLatch
import java.util.concurrent.TimeUnit

private const val NANOS = 1e9

/**
 * Time as a device sees it, and how it is told to stop. `now`: seconds by a clock that never jumps and counts sleep;
 * `uniform`: in [0, 1), for jitter; `hurry`: by how much pauses are shortened, in tests.
 */
public class World(
    public val now: () -> Double = steadyClock(),
    public val uniform: () -> Double = { Math.random() },
    private val hurry: Double = 1.0,
) {
    private val stopped = CountDownLatch(1)

    public val isStopped: Boolean get() = stopped.count == 0L

    /** Ends what is under way at the next boundary between two batches; its state is kept. */
    public fun stop() {
        stopped.countDown()
    }

    /** Wait so many seconds, or until the device is told to stop. */
    internal fun sleep(seconds: Double) {
        stopped.await((NANOS * seconds / hurry).toLong(), TimeUnit.NANOSECONDS)
    }
}

/**
 * The time of day at the start, and what has passed since by a clock that never jumps. On Android hand in one that
 * counts sleep.
 */
private fun steadyClock(): () -> Double {
    val (started, origin) = System.currentTimeMillis() / 1e3 to System.nanoTime()
    return { started + (System.nanoTime() - origin) / NANOS }
}
