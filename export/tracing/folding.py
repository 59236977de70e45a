"""What a graph makes of constants alone, and whose size lies in their values: worked out once, as a constant.

A graph of sensors without its self-loops, the columns that a mask chooses, the positions where something isn't zero:
as long as they are made of what the model holds, their size is known. A runtime would have to ask for it.

    >>> import torch
    >>> from torch.fx.experimental.proxy_tensor import make_fx
    >>> mask = torch.tensor([True, False, True])
    >>> graph = make_fx(lambda x: (x + mask.nonzero(),), tracing_mode="symbolic", _allow_non_fake_inputs=True)(
    ...     torch.ones(1)
    ... )
    >>> fold(graph)
    True
    >>> graph(torch.zeros(1))[0].tolist()
    [[0.0], [2.0]]
"""

import operator
from typing import Any, cast

import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.fx.experimental.symbolic_shapes import free_unbacked_symbols
from torch.fx.node import map_arg

from fedrela.export.tracing.mutations import mutates

aten = torch.ops.aten
_CHOOSING = {  # they take masks among their indices
    aten.index.Tensor, aten._unsafe_index.Tensor, aten.index_put.default, aten._unsafe_index_put.default,
}  # fmt: skip


def fold(graph: GraphModule) -> bool:
    """Change `graph`; whether there was something of the kind. Sizes of what comes after it are to be traced anew."""
    unknown = [node for node in graph.graph.nodes if _unknown(node)]
    values = _values(graph) if unknown else {}
    known = [node for node in unknown if node in values]
    for node in known:
        _put_in_place(graph, node, values[node])
    choosing = [node for node in graph.graph.nodes if values and node.target in _CHOOSING]
    chosen = [node for node in choosing if _without_masks(graph, node, values)]
    if not known and not chosen:
        return False
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return True


def _unknown(node: Node) -> bool:
    """Whether its size, or it itself, depends on values."""
    value = node.meta.get("val")
    return isinstance(value, Tensor | torch.SymInt | torch.SymFloat | torch.SymBool) and bool(
        free_unbacked_symbols(value)
    )


def _values(graph: GraphModule) -> dict[Node, Any]:
    """Of every node that depends on no input."""
    values: dict[Node, Any] = {}
    for node in graph.graph.nodes:
        if node.op == "get_attr":
            values[node] = operator.attrgetter(str(node.target))(graph)
        elif node.op == "call_function" and _pure(node) and values.keys() >= set(node.all_input_nodes):
            with torch.no_grad():
                values[node] = node.target(*_filled(node.args, values), **_filled(node.kwargs, values))
    return values


def _pure(node: Node) -> bool:
    drawn = torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())
    return not drawn and not mutates(node)


def _filled(arguments: Any, values: dict[Node, Any]) -> Any:
    return map_arg(arguments, values.__getitem__)


def _put_in_place(graph: GraphModule, node: Node, value: Any) -> None:
    """A constant in the place of `node`, or a number."""
    with graph.graph.inserting_before(node):
        given = _constant(graph, value) if isinstance(value, Tensor) else value
    for user in list(node.users):
        user.args = cast("tuple[Any, ...]", map_arg(user.args, lambda one: given if one is node else one))
        user.kwargs = cast("dict[str, Any]", map_arg(user.kwargs, lambda one: given if one is node else one))


def _without_masks(graph: GraphModule, node: Node, values: dict[Node, Any]) -> bool:
    """Let `node` choose by positions where it does by masks that are constants; whether it did."""
    changed, indices, *rest = cast("tuple[Node, list[Any], Any]", node.args)
    masks = [index for index in indices if index in values and values[index].dtype in (torch.bool, torch.uint8)]
    with graph.graph.inserting_before(node):
        positions = {mask: [_constant(graph, axis) for axis in values[mask].nonzero().unbind(1)] for mask in masks}
    node.args = (changed, [one for index in indices for one in positions.get(index, [index])], *rest)
    return bool(masks)


def _constant(graph: GraphModule, value: Tensor) -> Node:
    """A node for it."""
    name = f"folded_{len(graph.graph.find_nodes(op='get_attr'))}"
    graph.register_buffer(name, value.contiguous())
    node = graph.graph.get_attr(name)
    node.meta["val"] = value
    return node
