"""Layer normalization of what lies far from zero: ExecuTorch's kernel takes the variance as E[x^2] - E[x]^2, and
loses its digits where the mean is large. Here the mean is taken out before; a gradient needs that anyway.

    >>> import torch
    >>> from fedrela.export.tracing.trace import trace
    >>> x = torch.ones(3, 4)
    >>> program = trace(lambda x: (torch.nn.functional.layer_norm(x, (4,)),), (x,), (("B", 4),))
    >>> center(program.graph)
    >>> [node.name for node in program.graph.nodes][1:4]
    ['mean_dim', 'sub_tensor', 'native_layer_norm']
"""

import operator
from typing import Any, cast

import torch
from torch.fx import Graph, Node

from fedrela.export.executorch_programs.insertion import call

aten = torch.ops.aten


def center(graph: Graph) -> None:
    """Let every layer normalization in `graph` take what has a mean of zero."""
    for node in list(graph.find_nodes(op="call_function", target=aten.native_layer_norm.default)):
        x, shape = cast("tuple[Node, list[Any]]", node.args[:2])
        axes = [-1 - axis for axis in range(len(shape))]
        with graph.inserting_before(node):
            mean = call(graph, aten.mean.dim, x, axes, True)
            node.replace_input_with(x, call(graph, aten.sub.Tensor, x, mean))
        for user in list(node.users):
            if user.target is operator.getitem and user.args[1] == 1:
                user.replace_all_uses_with(mean)
