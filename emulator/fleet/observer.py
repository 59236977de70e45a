"""Whoever records and shows what happens in a fleet.

observer.started(100); observer.done(done); observer.committed(record, t)
"""

from typing import Any, Protocol

from fedrela.emulator.fleet.messages import Done


class FleetObserver(Protocol):
    """Whoever records and shows what happens."""

    def started(self, devices: int) -> None:
        """So many devices have enrolled."""

    def done(self, done: Done) -> None:
        """A device's wake-up is over."""

    def committed(self, record: dict[str, Any], t: float) -> None:
        """The coordinator committed a round; `record` as its admin API gives it."""
