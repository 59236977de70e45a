"""Programs run as a device would run them: in a process of their own, which loads a runtime while this one works.

with FreshProcess("onnx") as process:
    process.begin(folder)
    result = process.result()
"""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from fedrela.core import interpreter, tensors
from fedrela.core.errors import VerificationFailed
from fedrela.core.tensors import Array
from fedrela.export.verification.equality import VerificationResult
from fedrela.export.verification.replay import STEPS_FILE


class FreshProcess:
    """`fedrela.export.verification.replay` for one runtime; it ends with its `with`, whatever happens."""

    def __init__(self, runtime: str) -> None:
        self._runtime = runtime
        self._process = subprocess.Popen(
            interpreter.command("fedrela.export.verification.replay", "-", "--runtime", runtime),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=interpreter.environment() | {"PYTHONWARNINGS": "ignore"},
        )

    @property
    def id(self) -> int:
        """The process's."""
        return self._process.pid

    def __enter__(self) -> "FreshProcess":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def begin(self, folder: Path) -> None:
        """Let it read the bundle in `folder`, and run its golden steps and those of `keep_steps`."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{folder}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it ended before; `result` says how

    def result(self) -> VerificationResult:
        """Wait for it. Raises VerificationFailed if it can't run the programs."""
        said, complaints = self._process.communicate()
        try:
            answer = json.loads(said.strip().splitlines()[-1])
        except (IndexError, json.JSONDecodeError):
            last = (complaints.strip().splitlines() or ["no message"])[-1]
            raise VerificationFailed(
                f"the {self._runtime} runtime could not run the programs "
                f"(exit status {self._process.returncode}: {last})",
                remedy="update the runtime, or export without it (--runtime)",
            ) from None
        if "problem" in answer:
            raise VerificationFailed(f"{self._runtime}: {answer['problem']}", remedy=answer["remedy"])
        return VerificationResult(self._runtime, answer["golden"], answer["steps"])


def keep_steps(folder: Path, steps: Mapping[str, Array]) -> None:
    """Let the bundle's folder hold fresh steps for whoever runs it."""
    (folder / STEPS_FILE).write_bytes(tensors.to_bytes(steps))


def forget_steps(folder: Path) -> None:
    """Undo `keep_steps`."""
    (folder / STEPS_FILE).unlink()


def replay(folder: Path, runtime: str) -> VerificationResult:
    """Run the golden steps of the bundle in `folder`. Raises VerificationFailed if that process can't."""
    with FreshProcess(runtime) as process:
        process.begin(folder)
        return process.result()
