"""Contenders taking turns: one process each, one at a time, so that a busy machine slows all alike.

The child's half is `benchmarks.step.child`.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[2]
ASSIGNMENT_SECONDS = 0.05  # a turn has so many steps as fill this
FEWEST, MOST = 3, 25  # turns


@dataclass
class Child:
    """A contender's process."""

    process: subprocess.Popen[str]
    noise: IO[str]

    def ask(self, command: str) -> Any:
        """Its answer. Raises RuntimeError with its last words where it ends instead."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(command + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        return self.answer()

    def answer(self) -> Any:
        """The next line that it prints."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        code = self.process.wait()
        self.noise.seek(0)
        words = [text for text in self.noise.read().splitlines() if text.strip()]
        raise RuntimeError(f"its process ended with {code}: {words[-1][:160] if words else 'no message'}")


@contextmanager
def child(contender: str, folder: Path, batch: int, threads: int, ort_python: Path | None) -> Iterator[Child]:
    """A started process that has not yet said that it is ready (`Child.answer`)."""
    command = [sys.executable, "-m", "benchmarks.step.child", contender]
    if contender == "ort-training":
        command = [str(ort_python), str(ROOT / "benchmarks" / "step_ort_training.py")]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(ROOT)}
    with started([*command, str(folder), str(batch), str(threads)], environment) as opened:
        yield opened


@contextmanager
def started(command: list[str], environment: dict[str, str]) -> Iterator[Child]:
    """The same of any command that answers as `benchmarks.step.child` does."""
    with (
        tempfile.TemporaryFile("w+") as noise,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=noise,
            text=True,
            env=environment,
            cwd=ROOT,
        ) as process,
    ):
        try:
            yield Child(process, noise)
        finally:
            process.kill()


def milliseconds(children: dict[str, Child], command: str, *, processor: bool, seconds: float) -> dict[str, float]:
    """The median of each contender's runs of `command` ("step" or "predict"), about `seconds` of them; a slow one
    has fewer turns, at least three. One that can't do it is left out.
    """
    column = 0 if processor else 1
    plans: dict[str, tuple[int, int]] = {}
    for name, opened in children.items():
        first = opened.ask(f"{command} 1")
        if first is not None:
            once = min(opened.ask(f"{command} 2" if first[0][1] < 1 else f"{command} 1"))[1]
            each = max(1, ceil(ASSIGNMENT_SECONDS / once))
            plans[name] = (each, max(FEWEST, min(MOST, round(seconds / (each * once)))))
    taken: dict[str, list[float]] = {name: [] for name in plans}
    for turn in range(max(turns for _, turns in plans.values())):
        for name, (each, turns) in plans.items():
            if turn < turns or (name == "eager" and turn < max(t for _, t in plans.values())):
                taken[name] += [run[column] for run in children[name].ask(f"{command} {each}")]
                if not processor:
                    time.sleep(0.01)  # its other threads stop waiting for work before the next one's turn
    return {name: 1000 * statistics.median(values) for name, values in taken.items()}
