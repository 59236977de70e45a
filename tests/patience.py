"""How slow a machine may be before a test calls it a failure: one limit for all that only guards against hanging.

    until(lambda: server.ready(), "the server is ready")

A limit that a test is about (a lease, a time-out, what must come within seconds) is the test's own.
"""

import time
from collections.abc import Callable

PATIENCE_SECONDS = 300.0


def until(
    done: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS, *, pause_seconds: float = 0.02
) -> None:
    """Look every `pause_seconds` whether `done`. Raises AssertionError with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"it never came true: {what}"
        time.sleep(pause_seconds)
