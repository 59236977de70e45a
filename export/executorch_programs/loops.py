"""A recurrent layer's loop in an ExecuTorch program: the operators of one step, and how often.

Tracing leaves each loop whole, as an operator of ours (`loop`). In a program of the edge dialect it becomes
`torch.ops.higher_order.scan`, the form that ExecuTorch's passes and its memory planning know; `emission` writes it.

    program = trace(step, examples, shapes, table=forms.table())
    edge = to_edge(program, METHOD)
    put_in(edge.exported_program())

    >>> carried = loop("elman_relu", [torch.ones(1, 2)], [torch.zeros(3, 1, 2)], [torch.eye(2)], False)
    >>> [tuple(value.shape) for value in carried]
    [(1, 2), (3, 1, 2)]
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._dispatch.python import enable_python_dispatcher
from torch._guards import detect_fake_mode
from torch.fx import GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx

from fedrela.export.layers import recurrence_operators as recurrence
from fedrela.export.tracing import flat
from fedrela.export.tracing.trace import Table

REVERSE = "reverse"  # of a scan's node: the last step comes first
_SCHEMA = "(str name, Tensor[] carried, Tensor[] own, Tensor[] shared, bool reverse) -> Tensor[]"

_OPERATOR = torch.library.custom_op("fedrela::loop", recurrence.one_by_one, mutates_args=(), schema=_SCHEMA)


@_OPERATOR.register_fake
def _fake(name: str, carried: list[Tensor], own: list[Tensor], shared: list[Tensor], reverse: bool) -> list[Tensor]:
    new, given = recurrence.STEPS[name](carried, [value[0] for value in own], shared)
    return [*map(torch.empty_like, new), *(each.new_empty((own[0].shape[0], *each.shape)) for each in given)]


loop: Any = _OPERATOR._opoverload


def rules() -> dict[Any, Callable[..., Any]]:
    """The recurrent layers' operators -> their loops, for `forms.table`."""
    return recurrence.apart(_of_known_length)


def _of_known_length(name: str, carried: Any, own: Any, shared: Any, reverse: bool) -> list[Tensor]:
    """A device admits no loop whose length isn't in the file."""
    known = isinstance(own[0].shape[0], int)
    result: list[Tensor] = (loop if known else recurrence.one_by_one)(name, carried, own, shared, reverse)
    return result


def put_in(edge: torch.export.ExportedProgram, lower: Callable[[flat.Flat], GraphModule], table: Table) -> None:
    """Make each loop of an edge program a scan. `lower` takes the program of one step to the edge dialect."""
    module = edge.graph_module
    for node in list(module.graph.nodes):
        if getattr(node.target, "_op", None) is not loop:
            continue
        name, carried, own, shared, reverse = node.args
        place = f"step_{node.name}"
        module.add_submodule(place, lower(_step(name, carried, own, shared, table)))
        with module.graph.inserting_before(node):
            body = module.graph.get_attr(place)
            scan = module.graph.call_function(torch.ops.higher_order.scan, (body, carried, own, shared))
        scan.meta = {**node.meta, REVERSE: reverse}
        node.replace_all_uses_with(scan)
        module.graph.erase_node(node)
    module.recompile()


def _step(name: str, carried: list[Node], own: list[Node], shared: list[Node], table: Table) -> flat.Flat:
    """One step's program: (carried, one of each of its own, shared) -> (carried, what it gives)."""
    values = [[node.meta["val"] for node in nodes] for nodes in (carried, own, shared)]
    mode = detect_fake_mode(values)
    assert mode is not None

    def step(*tensors: Tensor) -> tuple[Tensor, ...]:
        rest = list(tensors)
        parts = [[rest.pop(0) for _ in nodes] for nodes in values]
        new, given = recurrence.STEPS[name](*parts)
        return (*new, *given)

    with mode, enable_python_dispatcher(), torch.no_grad():
        ones = [value[0] for value in values[1]]
        each = [torch.empty_like(value) for value in (*values[0], *ones, *values[2])]  # a tensor twice would be one
        graph = make_fx(step, decomposition_table=dict(table))(*each)
    graph.graph.eliminate_dead_code()
    return flat.program(graph, 1)
