"""What a person sees while a fleet trains: one live line on a terminal, plain lines elsewhere.

with Progress("FedAvg, seed 1", rounds=50) as progress:
    progress.round(3, accuracy=0.61, few=0.2, hours=0.4)
"""

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress


class Progress:
    """Owns the terminal line; a context manager. `quiet` shows nothing."""

    def __init__(self, label: str, rounds: int, *, quiet: bool = False) -> None:
        self._label, self._rounds, self._quiet = label, rounds, quiet
        self._live = sys.stderr.isatty() and not quiet
        self._started = time.monotonic()
        self._printed_at = 0.0
        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=False,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> "Progress":
        if self._live:
            self._bar.start()
            self._task = self._bar.add_task(self._label, total=self._rounds, figures="enrolling devices")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._bar.stop()

    def say(self, text: str) -> None:
        """Something other than a round."""
        if self._task is not None:
            self._bar.update(self._task, figures=text)
        elif not self._quiet:
            print(f"{self._label}: {text}", file=sys.stderr, flush=True)

    def round(self, number: int, *, accuracy: float, few: float, hours: float) -> None:
        """A global model was committed and evaluated."""
        figures = f"accuracy {100 * accuracy:4.1f} %, rarest classes {100 * few:4.1f} %, {hours:.2f} virtual h"
        if self._task is not None:
            self._bar.update(self._task, completed=number, figures=figures)
            return
        now = time.monotonic()
        if not self._quiet and (number == self._rounds or now - self._printed_at >= 2.0):
            self._printed_at = now
            print(f"{self._label}: round {number}/{self._rounds}: {figures}", file=sys.stderr, flush=True)
