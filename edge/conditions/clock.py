"""The clock of a device that has none to rely on."""

import time
from collections.abc import Callable


def steady_clock() -> Callable[[], float]:
    """Seconds since 1970 that never jump: a Raspberry Pi learns the time only after it has started.

    Time that the device sleeps counts, as it does for the coordinator.
    """
    start = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return lambda: start + time.clock_gettime(time.CLOCK_BOOTTIME)
