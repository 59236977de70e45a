"""How slow a machine may be before a test calls it a failure: one limit for all that only guards against hanging.

    wait_for(lambda: http.get("/readyz").status_code == 200)

A limit that a test is about (a lease, a time-out, what must come within seconds) is the test's own.
"""

import time
from collections.abc import Callable

import httpx

PATIENCE_SECONDS = 300.0


def wait_for(condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS, *, pause_seconds: float = 0.05) -> None:
    """Return once `condition` holds; a server that does not answer yet counts as not. Raises AssertionError."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except httpx.TransportError:
            pass
        time.sleep(pause_seconds)
    raise AssertionError("it did not happen in time")
