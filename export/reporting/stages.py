"""The stages of an export in order, and how the time of one divides among them.

>>> [stage.line for stage in planned(["onnx"])][1]
'onnx: tracing and lowering train_step'
"""

from collections.abc import Sequence
from dataclasses import dataclass

from fedrela.core.bundle import PROGRAMS

ANALYSIS = "analysis: running the model a few times in eager PyTorch"
EAGER = "verify: the golden steps and fresh ones in eager PyTorch, and the model again and again on the same data"
RUNNING = "verify: running the golden and the fresh steps on each runtime, in fresh processes"
THOROUGH = "verify: fresh steps once more, and what more roundings make of them: a runtime differs from eager PyTorch"
_LOWERING = {"onnx": (6.0, 2.0, 1.5), "executorch": (10.0, 3.0, 2.0)}


@dataclass(frozen=True)
class Stage:
    """A line, and how long it takes, relative to the others: as it was for a small ResNet. Others differ by half."""

    line: str
    share: float


def lowering(runtime: str, program: str) -> str:
    """The line of one program's."""
    return f"{runtime}: tracing and lowering {program}"


def planned(runtimes: Sequence[str]) -> tuple[Stage, ...]:
    """What is ahead for these runtimes; THOROUGH only where it turns out to be needed."""
    lowered = [
        Stage(lowering(runtime, program), share)
        for runtime in runtimes
        for program, share in zip(PROGRAMS, _LOWERING[runtime], strict=True)
    ]
    verified = [Stage(EAGER, 2.5), Stage(RUNNING, 1.5)]
    return (Stage(ANALYSIS, 0.5), *lowered, *verified)
