"""Operands of sums, products and their like as ExecuTorch's optimized kernels take them, for a batch of one too.

Where each of two operands enlarges the other, those kernels give the result the shape of the one that is larger in all;
with a batch of one that may be the one with fewer dimensions, and the step ends there. And where the first has one
element, they multiply that by `alpha` instead of the second.

    >>> import torch
    >>> from fedrela.export.tracing.trace import trace
    >>> x, w = torch.ones(3, 5, 1), torch.ones(5, 4)
    >>> program = trace(lambda x, w: (x * w,), (x, w), (("B", 5, 1), (5, 4)))
    >>> suit(program.graph)
    >>> [node.name for node in program.graph.nodes][2:4]
    ['unsqueeze_default', 'mul']
"""

from typing import Any, cast

import torch
from torch import Tensor
from torch.fx import Graph, Node

from fedrela.export.executorch_programs.insertion import call

aten = torch.ops.aten
_OPTIMIZED = {aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor, aten.div.Tensor_mode}


def suit(graph: Graph) -> None:
    """Change the operands in `graph` that need it."""
    for node in list(graph.nodes):
        if node.target in _OPTIMIZED and all(_is_tensor(operand) for operand in node.args[:2]):
            _of_one_rank(graph, node)
            _multiplied_before(graph, node)


def _of_one_rank(graph: Graph, node: Node) -> None:
    """Give the operand of fewer dimensions those that it lacks, if it enlarges the other."""
    lower, higher = sorted(cast("tuple[Node, ...]", node.args[:2]), key=lambda operand: len(_shape(operand)))
    missing = len(_shape(higher)) - len(_shape(lower))
    enlarged = any(
        _is_one(wide) and not _is_one(size) for wide, size in zip(_shape(higher)[missing:], _shape(lower), strict=True)
    )
    if not enlarged:
        return
    with graph.inserting_before(node):
        whole = lower
        for _ in range(missing):
            whole = call(graph, aten.unsqueeze.default, whole, 0)
    node.args = tuple(whole if operand is lower else operand for operand in node.args)


def _multiplied_before(graph: Graph, node: Node) -> None:
    """Multiply the second operand by `alpha` beforehand, where the first may have one element."""
    alpha: Any = node.kwargs.get("alpha", 1)
    first, second = cast("tuple[Node, Node]", node.args[:2])
    if alpha == 1 or not all(_is_one(size) or not isinstance(size, int) for size in _shape(first)):
        return
    with graph.inserting_before(node):
        node.args = (first, call(graph, aten.mul.Scalar, second, alpha))
    node.kwargs = {}


def _shape(node: Node) -> tuple[Any, ...]:
    return tuple(node.meta["val"].shape)


def _is_tensor(operand: Any) -> bool:
    return isinstance(operand, Node) and isinstance(operand.meta["val"], Tensor)


def _is_one(size: Any) -> bool:
    return isinstance(size, int) and size == 1
