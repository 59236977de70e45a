"""Sums and products of operands of any two shapes, for a batch of one and of more, on the runtime itself."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fedrela.export.executorch_programs import forms
from fedrela.export.executorch_programs.program import METHOD, lower
from fedrela.export.tracing.trace import trace

Shape = tuple[int | str, ...]
OPERATORS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mul": torch.mul,
    "add": torch.add,
    "add, the other way round": lambda a, b: torch.add(b, a),
    "add twice": lambda a, b: torch.add(a, b, alpha=2.0),
    "sub": torch.sub,
    "sub half": lambda a, b: torch.sub(a, b, alpha=0.5),
    "div": torch.div,
    "maximum": torch.maximum,
    "less": lambda a, b: (a < b).to(torch.float32),
    "where": lambda a, b: torch.where(a > 0, a, b),
}
SHAPES: tuple[tuple[Shape, Shape], ...] = (
    (("B", 5, 1), (5, 4)),
    (("B", 1, 4), (5, 4)),
    (("B", 1, 1), (5, 4)),
    (("B", 1, 1, 4), (5, 4)),
    (("B", 1, 5, 1), (3, 1, 4)),
    (("B", 1, 4), (5, 1)),
    (("B", 1), (4,)),
    (("B", 1), (1, 4)),
    (("B", 5, 4), (5, 1)),
    (("B", 5, 4), (4,)),
)


@pytest.mark.parametrize("name", OPERATORS)
def test_operands_of_any_two_shapes(name: str) -> None:
    from executorch.extension.pybindings import portable_lib

    operator = OPERATORS[name]

    def every(*tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(operator(*pair) for pair in zip(tensors[::2], tensors[1::2], strict=True))

    shapes = [shape for pair in SHAPES for shape in pair]
    program = trace(every, _drawn(shapes, 3), shapes, table=forms.table())
    body = lower(program, max_batch=8)  # the runtime keeps no copy
    loaded = portable_lib._load_for_executorch_from_buffer(body)
    for batch in (1, 2, 8):
        given = _drawn(shapes, batch)
        for found, expected in zip(loaded.run_method(METHOD, given), every(*given), strict=True):
            assert found.shape == expected.shape
            torch.testing.assert_close(found, expected)


def _drawn(shapes: list[Shape], batch: int) -> tuple[Tensor, ...]:
    torch.manual_seed(batch)
    return tuple(torch.randn([batch if size == "B" else int(size) for size in shape]) for shape in shapes)
