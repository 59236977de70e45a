"""How far an export is and how long it will take: a bar on a terminal, lines elsewhere, never silent for long.

with Progress(planned(["onnx"]), Console(stderr=True)) as progress:
    export_recipe(..., report=progress.report)
"""

import time
from collections.abc import Callable, Sequence
from threading import Event, Thread
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bar

from fedrela.export.reporting.stages import Stage

SILENCE_SECONDS = 4.0  # before a line says that something still goes on
_KNOWN = 0.05  # of all: before so much is done, nobody knows how long the rest will take


class Progress:
    """Shows what is reported, and meanwhile that it goes on; until its `with` ends, a thread of its own does."""

    def __init__(self, stages: Sequence[Stage], console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._stages, self._console, self._clock = list(stages), console, clock
        self._begun = self._said = clock()
        self._current = -1
        self._stage_begun = self._begun
        self._over = Event()
        self._thread = Thread(target=self._go_on, daemon=True)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(30),
            TaskProgressColumn(),
            TextColumn("{task.fields[left]}"),
        )
        self._bar = Bar(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._bar.add_task("", total=1.0, left="")

    def __enter__(self) -> "Progress":
        self._bar.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._bar.stop()

    def report(self, line: str) -> None:
        """The next stage begins, or something is worth a line."""
        self._said = self._clock()
        for place, stage in enumerate(self._stages):
            if stage.line == line:
                self._current, self._stage_begun = place, self._said
        self._console.print(f"[dim]•[/dim] {escape(line)}")
        self._show()

    def done(self) -> float:
        """The part of all time that has passed, between 0 and 1, as far as the stages' shares tell."""
        total = sum(stage.share for stage in self._stages)
        before = sum(stage.share for stage in self._stages[: max(self._current, 0)]) / total
        if self._current < 0 or before < _KNOWN:
            return before
        pace = before / (self._stage_begun - self._begun or 1.0)
        share = self._stages[self._current].share / total
        return before + min(pace * (self._clock() - self._stage_begun), 0.95 * share)

    def left(self) -> str:
        """How long it will still take, in words; nothing where nobody knows."""
        done = self.done()
        if done < _KNOWN:
            return ""
        seconds = (self._clock() - self._begun) * (1 - done) / done
        return f"about {seconds:.0f} s left"

    def _show(self) -> None:
        self._bar.update(self._task, completed=self.done(), left=self.left())

    def _go_on(self) -> None:
        while not self._over.wait(0.5):
            self._show()
            now = self._clock()
            if not self._console.is_terminal and now - self._said >= SILENCE_SECONDS:
                self._said = now
                words = ", ".join(filter(None, [f"{now - self._begun:.0f} s so far", self.left()]))
                self._console.print(f"  [dim]still at it: {words}[/dim]")
