"""An operator put into a flat graph, with what it gives known, as every lowering pass expects of a node.

with graph.inserting_before(node):
    mean = call(graph, aten.mean.dim, x, [-1], True)
"""

from typing import Any

from torch.fx import Graph, Node


def call(graph: Graph, target: Any, *arguments: Any) -> Node:
    """`target(*arguments)`, of nodes and plain values."""
    made = graph.call_function(target, arguments)
    made.meta["val"] = target(*(item.meta["val"] if isinstance(item, Node) else item for item in arguments))
    return made
