"""Copies that copy nothing: operators of a flat program whose result is its input, or a view of it.

A graph without mutations needs no alias, clone or expansion to the same shape, but ExecuTorch's kernels would copy each
of them, and every squeeze; a reshape of a reshape is one reshape, which costs nothing at all.

    program = trace(step, examples, shapes, table=forms.table())
    without_copies(program)
"""

from typing import Any

import torch

aten = torch.ops.aten
_SAME = frozenset({aten.alias.default, aten.clone.default, aten.lift_fresh_copy.default, aten.detach.default})
_WRITES = frozenset({aten.copy.default, aten.slice_scatter.default})  # the second into the first one
_MAYBE_SAME = frozenset({aten.expand.default, aten.view.default, aten._to_copy.default, aten.slice.Tensor})


def without_copies(program: torch.export.ExportedProgram) -> None:
    """Take such operators out of a program without mutations. An input that is an output is still copied."""
    for node in list(program.graph.nodes):
        if node.op != "call_function":
            continue
        if node.target is aten.view.default:
            _view_the_first(node)
        if node.target in _WRITES and _described(node) == _described(node.args[1]):
            _replace(node, node.args[1])
        elif _copies_nothing(node):
            _replace(node, node.args[0])
    program.graph.eliminate_dead_code()
    program.graph_module.recompile()


def _copies_nothing(node: torch.fx.Node) -> bool:
    if node.target in _SAME:
        return True
    return node.target in _MAYBE_SAME and _described(node) == _described(node.args[0])


def _described(node: Any) -> tuple[Any, ...]:
    value = node.meta["val"]
    return (value.dtype, *map(str, value.shape))


def _view_the_first(node: torch.fx.Node) -> None:
    source = node.args[0]
    if isinstance(source, torch.fx.Node) and source.target is aten.view.default:
        node.replace_input_with(source, source.args[0])  # type: ignore[arg-type]


def _replace(node: torch.fx.Node, source: Any) -> None:
    """Everywhere, but for an output that would then be an input, or the same tensor twice."""
    taken = source.op == "placeholder" or any(user.op == "output" for user in source.users)
    node.replace_all_uses_with(source, delete_user_cb=lambda user: not (taken and user.op == "output"))
