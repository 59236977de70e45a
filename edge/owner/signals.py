"""SIGINT and SIGTERM as a stop event, so that a device ends at a batch boundary.

with stopped_by_signals(stop) as received:
    client.run()
"""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event as StopEvent


@contextmanager
def stopped_by_signals(stop: StopEvent) -> Iterator[list[int]]:
    """SIGINT and SIGTERM set `stop` and are listed; a second one ends the program at once."""
    received: list[int] = []

    def on_signal(number: int, frame: object) -> None:
        if received:
            sys.exit(128 + number)
        received.append(number)
        stop.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
