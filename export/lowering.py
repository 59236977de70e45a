"""From a program's definition to a file for a runtime.

>>> sorted(RUNTIMES)
['executorch', 'onnx']
"""

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from fedrela.core import signing
from fedrela.core.bundle import ProgramFile, ProgramInput
from fedrela.core.errors import InvalidInput
from fedrela.export.limits import MAX_RELABEL_SAMPLES
from fedrela.export.program import Definition
from fedrela.export.tracing.refusals import refusals
from fedrela.export.tracing.trace import trace

_BATCH, _SAMPLES = 7, 28  # open dimensions while tracing


def lower(
    definition: Definition, runtime: str, max_batch: int, operators: Mapping[str, str] | None = None
) -> tuple[bytes, ProgramFile]:
    """The file's bytes and its manifest entry. `operators`: which submodule calls which, to name it in an error.

    Raises InvalidInput, UnsupportedOperation or MissingDependency.
    """
    check((runtime,))
    with refusals(definition.name, operators), _calm_collector():
        return RUNTIMES[runtime](definition, max_batch)


def check(runtimes: Sequence[str]) -> None:
    """Raise InvalidInput for a runtime that there isn't, or twice."""
    for runtime in runtimes:
        if runtime not in RUNTIMES:
            raise InvalidInput(f"there is no runtime {runtime!r}", remedy=f"choose from {', '.join(RUNTIMES)}")
    if len(set(runtimes)) < len(runtimes):
        raise InvalidInput("a runtime is named twice", remedy="name each once")


@contextmanager
def _calm_collector() -> Iterator[None]:
    """Tracing makes millions of objects that live: to look for garbage at every 700 takes a tenth of its time."""
    before = gc.get_threshold()
    gc.set_threshold(50_000, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _onnx(definition: Definition, max_batch: int) -> tuple[bytes, ProgramFile]:
    from fedrela.export.onnx_programs import program, translation

    traced = trace(definition.function, examples(definition), _shapes(definition), table=translation.table())
    body = program.lower(definition, traced)
    return body, _file(definition, "onnx", "onnx", body, program.MIN_RUNTIME_VERSION, 0)


def _executorch(definition: Definition, max_batch: int) -> tuple[bytes, ProgramFile]:
    from fedrela.export.executorch_programs import forms
    from fedrela.export.executorch_programs import program as executorch_program

    largest = max_batch if definition.name != "relabel" else MAX_RELABEL_SAMPLES
    traced = trace(definition.function, examples(definition), _shapes(definition), table=forms.table())
    body = executorch_program.lower(traced, max_batch=largest)
    return body, _file(definition, "executorch", "pte", body, executorch_program.MIN_RUNTIME_VERSION, largest)


def _file(definition: Definition, runtime: str, suffix: str, body: bytes, version: str, largest: int) -> ProgramFile:
    path = f"{definition.name}.{suffix}"
    return ProgramFile(runtime, path, signing.sha256(body), len(body), version, largest)  # type: ignore[arg-type]


def examples(definition: Definition) -> tuple[Tensor, ...]:
    """Tensors of the right shapes and dtypes for tracing; their values never matter."""
    return tuple(_example(item) for item in definition.inputs)


def _example(item: ProgramInput) -> Tensor:
    sizes = {"B": _BATCH, "N": _SAMPLES}
    shape = [sizes[size] if isinstance(size, str) else size for size in item.shape]
    return torch.ones(shape, dtype=getattr(torch, item.dtype))


def _shapes(definition: Definition) -> tuple[tuple[int | str, ...], ...]:
    return tuple(item.shape for item in definition.inputs)


RUNTIMES: dict[str, Callable[[Definition, int], tuple[bytes, ProgramFile]]] = {
    "onnx": _onnx,
    "executorch": _executorch,
}
