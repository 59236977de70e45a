"""What the three programs of a bundle must take and give, so that any client can run them without looking twice.

A manifest comes from a coordinator, and a hostile one must end as an error of ours: never as an index error, an
allocation of terabytes or a runtime's crash.

    >>> step = Program((ProgramInput("w", "parameter", (2,)),), ("new.w",), ())
    >>> check(step, step, step, classes=2)
    Traceback (most recent call last):
    ...
    fedrela.core.errors.InvalidBundle: train_step takes 0 inputs of the role x; export the model again
"""

import math
from collections.abc import Callable, Mapping

from fedrela.core.errors import InvalidBundle
from fedrela.core.protocol.programs import CARRIED, TOTALS, Program, ProgramInput, Role
from fedrela.core.tensors import LARGEST_DIMENSION, MOST_ELEMENTS

ANCHOR = "anchor."

# How many inputs of each role a program takes, at least and at most.
_ANY = (0, 10_000)
_COUNTS: Mapping[str, Mapping[Role, tuple[int, int]]] = {
    "train_step": {
        "parameter": (1, 10_000),
        "buffer": _ANY,
        "optimizer": _ANY,
        "anchor": _ANY,
        "x": (1, 10_000),
        "y": (1, 1),
        "weight": (1, 1),
        "hyperparameter": _ANY,
        "random": _ANY,
        "class_prior": (0, 1),
    },
    "predict": {"parameter": _ANY, "buffer": _ANY, "x": (1, 10_000), "random": _ANY},
    "relabel": {"probabilities": (1, 1), "labels": (1, 1), "uniforms": (1, 1), "threshold_percent": (1, 1)},
}
_INT64: tuple[Role, ...] = ("y", "labels")


def check(train_step: Program, predict: Program, relabel: Program, classes: int) -> None:
    """Raise InvalidBundle unless the programs fit each other and the number of classes."""
    programs = {"train_step": train_step, "predict": predict, "relabel": relabel}
    for name, program in programs.items():
        _check_inputs(name, program, classes)
        runtimes = [file.runtime for file in program.files]
        _require(len(set(runtimes)) == len(runtimes), f"{name} has two files for one runtime")
    _check_anchors(train_step)
    _check_predict(train_step, predict)
    news = tuple(f"new.{item.name}" for item in train_step.role(*CARRIED))
    outputs = {"train_step": (*news, *TOTALS), "predict": ("probabilities",), "relabel": ("new_labels", "flip_rate")}
    for name, program in programs.items():
        _require(program.outputs == outputs[name], f"{name} gives other outputs than it must")


def _check_inputs(name: str, program: Program, classes: int) -> None:
    """Each input alone, and how many there are of each role."""
    names = {item.name for item in program.inputs}
    _require(len(names) == len(program.inputs), f"{name} has two inputs of one name")
    for role, (least, most) in _COUNTS[name].items():
        count = len(program.role(role))
        _require(least <= count <= most, f"{name} takes {count} inputs of the role {role}")
    for item in program.inputs:
        _require(item.role in _COUNTS[name], f"{name} takes an input of the role {item.role}")
        _check_dimensions(name, item)
        expected = _SHAPES.get(item.role)
        _require(expected is None or item.shape == expected(classes), f"{name}: {item.name[:100]!r} has another shape")
        if item.role != "x":
            dtype = "int64" if item.role in _INT64 else "float32"
            _require(item.dtype == dtype, f"{name}: {item.name[:100]!r} is {item.dtype} and must be {dtype}")


# The shapes that follow from a role.
_SHAPES: Mapping[Role, Callable[[int], tuple[int | str, ...]]] = {
    "y": lambda classes: ("B",),
    "weight": lambda classes: ("B",),
    "hyperparameter": lambda classes: (),
    "class_prior": lambda classes: (classes,),
    "probabilities": lambda classes: ("N", classes),
    "labels": lambda classes: ("N",),
    "uniforms": lambda classes: ("N", classes),
    "threshold_percent": lambda classes: (),
}


def _check_dimensions(name: str, item: ProgramInput) -> None:
    """Whole numbers from 1, and "B" or "N" as the first dimension where the role allows it."""
    free = {"x": "B", "y": "B", "weight": "B", "random": "B", "probabilities": "N", "labels": "N", "uniforms": "N"}
    sizes = []
    for at, dimension in enumerate(item.shape):
        if isinstance(dimension, str):
            fits = at == 0 and dimension == free.get(item.role)
        else:
            fits = 1 <= dimension <= LARGEST_DIMENSION
            sizes.append(dimension)
        _require(fits, f"{name}: {item.name[:100]!r} has the dimension {str(dimension)[:20]}")
    _require(math.prod(sizes) <= MOST_ELEMENTS, f"{name}: {item.name[:100]!r} is too large")
    if item.role == "x":
        _require(item.shape[:1] == ("B",), f"{name}: {item.name[:100]!r} has no batch dimension")


def _check_anchors(train_step: Program) -> None:
    """Every anchor is the global value of a parameter."""
    parameters = {item.name: item.shape for item in train_step.role("parameter")}
    for item in train_step.role("anchor"):
        of = item.name.removeprefix(ANCHOR)
        fits = item.name.startswith(ANCHOR) and parameters.get(of) == item.shape
        _require(fits, f"train_step: {item.name[:100]!r} is the anchor of no parameter")


def _check_predict(train_step: Program, predict: Program) -> None:
    """Predict runs on what train_step learns, and on the same examples."""
    weights = {item.name: item for item in train_step.role("parameter", "buffer")}
    for item in predict.role("parameter", "buffer"):
        _require(weights.get(item.name) == item, f"predict: {item.name[:100]!r} is no weight of train_step")
    _require(predict.role("x") == train_step.role("x"), "predict and train_step take different examples")


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise InvalidBundle(problem, remedy="export the model again")
