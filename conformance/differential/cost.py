"""What reading a body costs: seconds of the processor, and bytes of memory at the peak. Linux counts both.

>>> watch = Watch()
>>> watch.seconds(lambda: sum(range(1000))) < MOST_SECONDS
True
"""

import time
from collections.abc import Callable
from pathlib import Path

MOST_SECONDS = 1.0
MOST_BYTES = 64_000_000
_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_FORGET_PEAK = "5"  # proc(5)


class Watch:
    """The memory's peak since `begin`."""

    def __init__(self) -> None:
        self._start = 0

    def begin(self) -> None:
        """Forget the peak so far."""
        _RESET.write_text(_FORGET_PEAK)
        self._start = _bytes("VmRSS")

    def peak_bytes(self) -> int:
        """Bytes above what was in use at `begin`."""
        return _bytes("VmHWM") - self._start

    @staticmethod
    def seconds(work: Callable[[], object]) -> float:
        """The processor's time for a piece of work; other programs don't count."""
        start = time.thread_time()
        work()
        return time.thread_time() - start


def _bytes(name: str) -> int:
    lines = _STATUS.read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":"))
