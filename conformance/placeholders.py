"""Programs that fit the contract and that nobody runs: for messages, for the protocol and for load, not for numbers.

>>> programs((ProgramInput("w", "parameter", (2, 3)),), ProgramInput("x", "x", ("B", 3)), 2)["predict"].outputs
('probabilities',)
"""

from collections.abc import Callable
from typing import TypedDict

from fedrela.core import signing
from fedrela.core.bundle import PROGRAMS, Program, ProgramFile, ProgramInput
from fedrela.core.protocol.programs import CARRIED, TOTALS

Files = Callable[[str], tuple[ProgramFile, ...]]


class Programs(TypedDict):
    """The three of them, as a `Manifest` takes them."""

    train_step: Program
    predict: Program
    relabel: Program


def body(name: str) -> bytes:
    """What stands in the file of a placeholder."""
    return f"placeholder of {name}".encode()


def files(name: str) -> tuple[ProgramFile, ...]:
    """The file that `body` would be stored in, for ONNX Runtime."""
    return (ProgramFile("onnx", f"{name}.onnx", signing.sha256(body(name)), len(body(name)), "1.17"),)


def programs(
    state: tuple[ProgramInput, ...],
    x: ProgramInput,
    classes: int,
    *more: ProgramInput,
    files: Files = files,
) -> Programs:
    """The three programs of a model with this `state` (parameters, buffers, optimizer) and these examples.

    `more`: what train_step takes besides state, examples, labels and weights.
    """
    y, weight = ProgramInput("y", "y", ("B",), "int64"), ProgramInput("weight", "weight", ("B",))
    carried = tuple(item for item in state if item.role in CARRIED)
    travelling = tuple(item for item in state if item.role in ("parameter", "buffer"))
    inputs: dict[str, tuple[ProgramInput, ...]] = {
        "train_step": (*state, x, y, weight, *more),
        "predict": (*travelling, x),
        "relabel": (
            ProgramInput("probabilities", "probabilities", ("N", classes)),
            ProgramInput("labels", "labels", ("N",), "int64"),
            ProgramInput("uniforms", "uniforms", ("N", classes)),
            ProgramInput("threshold_percent", "threshold_percent", ()),
        ),
    }
    outputs = {
        "train_step": (*(f"new.{item.name}" for item in carried), *TOTALS),
        "predict": ("probabilities",),
        "relabel": ("new_labels", "flip_rate"),
    }
    step, predict, relabel = (Program(inputs[name], outputs[name], files(name)) for name in PROGRAMS)
    return {"train_step": step, "predict": predict, "relabel": relabel}
