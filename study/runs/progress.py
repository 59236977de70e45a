"""How far a study is: a bar with the time left on a terminal, one line per finished cell elsewhere."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from fedrela.study.runs.result_files import Row

_LINE_SECONDS = 60.0  # without a terminal: at least one line in this time


class Bar:
    """Shows a study's progress on stderr; a context manager."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("rounds"))
        self._bar = Progress(
            *columns, TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), console=self._console,
            disable=not self._console.is_terminal, speed_estimate_period=600.0,
        )  # fmt: skip
        self._task = self._bar.add_task("starting", total=None)
        self._began = self._spoke = time.monotonic()
        self._cells = self._finished = self._rounds = self._done = 0
        self._timing = False
        self._not_timed = 0  # the first round, which comes after an export, and those of a run that was killed

    def __enter__(self) -> "Bar":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def begin(self, cells: int, finished: int, rounds: int) -> None:
        """See `fedrela.study.runs.resume.StudyObserver`."""
        self._cells, self._finished, self._rounds = cells, finished, rounds
        self._bar.update(self._task, total=rounds)
        self._say(f"{cells} cells, {finished} finished before, {rounds} rounds to go")

    def advance(self, label: str, rounds: int, before: bool = False) -> None:
        """See `fedrela.study.runs.setups.CellObserver`."""
        if before:
            self._not_timed += rounds
        elif not self._timing:
            self._timing, self._began = True, time.monotonic()
            self._not_timed += rounds
        self._done += rounds
        self._bar.update(self._task, description=label, advance=rounds)
        if not self._console.is_terminal and time.monotonic() - self._spoke > _LINE_SECONDS:
            self._say(f"{label}: {self._done} of {self._rounds} rounds{self._left()}")

    def finished(self, row: Row) -> None:
        """See `fedrela.study.runs.setups.CellObserver`."""
        self._finished += 1
        measured = row["measured"]
        shares = " ".join(
            f"{name} {100 * measured[name]:.1f}"
            for name in ("overall", "many", "medium", "few")
            if measured[name] is not None
        )
        arm = row["arm"] if row["variant"] is None else f"{row['arm']} ({row['variant']['name']})"
        self._say(
            f"[{self._finished}/{self._cells}] {row['setting']['name']}, {row['method']}, seed {row['seed']}, {arm}: "
            f"{shares}{self._left()}"
        )

    def _say(self, line: str) -> None:
        self._spoke = time.monotonic()
        self._console.print(line, markup=False, soft_wrap=True)

    def _left(self) -> str:
        timed = self._done - self._not_timed
        if not timed:
            return ""
        seconds = (time.monotonic() - self._began) / timed * (self._rounds - self._done)
        return f" | about {seconds / 60:.0f} min left" if seconds >= 60 else f" | about {seconds:.0f} s left"
