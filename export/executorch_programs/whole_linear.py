"""`aten.linear` where a form asks for it: a product with a transposed operand, which ExecuTorch has a kernel for.

Tracing takes every `aten.linear` apart, as a model's own should be. A form's stands in the graph as an operator of ours
until it is there.

    >>> linear(torch.ones(1, 2), torch.ones(3, 2)).tolist()
    [[2.0, 2.0, 2.0]]
"""

from typing import Any

import torch
from torch import Tensor


def _linear(x: Tensor, weight: Tensor) -> Tensor:
    return x @ weight.t()


_OPERATOR = torch.library.custom_op("fedrela::linear", _linear, mutates_args=())
_OPERATOR.register_fake(_linear)
linear: Any = _OPERATOR._opoverload


def name_it(graph: torch.fx.GraphModule) -> None:
    """Make each of ours torch's."""
    for node in graph.graph.nodes:
        if node.target is linear:
            node.target = torch.ops.aten.linear.default
    graph.recompile()
