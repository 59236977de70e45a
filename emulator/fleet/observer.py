"""Whoever records and shows what happens to a fleet: the seam between the fleet and a judge, or a study.

May import `fedrela.emulator.fleet.messages`.
"""

from typing import Any, Protocol

from fedrela.emulator.fleet.messages import Done


class Observer(Protocol):
    """Whoever records and shows what happens."""

    def started(self, devices: int) -> None:
        """So many devices have enrolled."""
        ...

    def done(self, done: Done) -> None:
        """A device's turn is over."""
        ...

    def committed(self, record: dict[str, Any], t: float) -> None:
        """The coordinator committed a round; `record` as its admin API gives it."""
        ...
