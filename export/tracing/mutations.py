"""Operators that change a tensor in place, as ones that give another: a program's graph has no mutations.

`rules` makes of each in-place operator the plain one and a copy of its result over the tensor, and `take_out` makes of
such a copy a new name for what was copied, from there on. That is all that most models need (BatchNorm's statistics,
ReLU in place). Where the tensor is a view of another, or has views, it takes torch's functionalization, which traces
the graph once more. So it does where it would be a view, but a runtime's form made a copy (`watched`): a graph does not
show that, and autograd goes on as if it were one.

    >>> import torch
    >>> from torch.fx.experimental.proxy_tensor import make_fx
    >>> graph = make_fx(lambda x: (x.clone().add_(1.0),), rules(), "fake")(torch.ones(2))
    >>> take_out(graph)
    True
    >>> [node.target.__name__ for node in graph.graph.nodes if node.op == "call_function"]
    ['clone.default', 'add.Tensor']
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

aten = torch.ops.aten
_COPY = aten.copy_.default


@cache
def rules() -> Mapping[Any, Callable[..., Tensor]]:
    """In-place operator -> the plain one, copied over the tensor; not those that change a tensor's shape."""
    found: dict[Any, Callable[..., Tensor]] = {aten.detach_.default: Tensor.detach}  # of constants: no value changes
    for schema in torch._C._jit_get_all_schemas():
        name = schema.name.removeprefix("aten::")
        if name == schema.name or not name.endswith("_") or name.startswith("_"):
            continue
        in_place = getattr(getattr(aten, name, None), schema.overload_name or "default", None)
        plain = _plain(in_place)
        if in_place not in (None, _COPY) and plain is not None and torch.Tag.inplace_view not in in_place.tags:
            written = [each.alias_info is not None and each.alias_info.is_write for each in in_place._schema.arguments]
            if written[:1] == [True] and not any(written[1:]) and not plain._schema.is_mutable:
                found[in_place] = _copied_over(plain)
    return found


@dataclass(frozen=True)
class Watch:
    """A table for one tracing, and what happened in it."""

    table: Mapping[Any, Callable[..., Any]]
    lost: list[Any]  # the operators that changed a tensor in place of which a form had made a copy instead of a view


def watched(table: Mapping[Any, Callable[..., Any]]) -> Watch:
    """`table` and the in-place operators' rules, with an eye on tensors that should share memory and don't."""
    parted: dict[int, Tensor] = {}  # by its storage: a tensor that has a copy for a view, or is such a copy; kept alive
    lost: list[Any] = []

    def viewing(rule: Callable[..., Any]) -> Callable[..., Any]:
        def watch(x: Any, *arguments: Any, **options: Any) -> Any:
            made = rule(x, *arguments, **options)
            if isinstance(made, Tensor) and isinstance(x, Tensor) and _storage(made) != _storage(x):
                parted.update({_storage(each): each for each in (made, x)})
            return made

        return watch

    def changing(operator: Any, rule: Callable[..., Any]) -> Callable[..., Any]:
        def watch(x: Tensor, *arguments: Any, **options: Any) -> Any:
            if _storage(x) in parted:
                lost.append(operator)
            return rule(x, *arguments, **options)

        return watch

    views = {operator: viewing(rule) for operator, rule in table.items() if _is_view(operator)}
    written = {operator: changing(operator, rule) for operator, rule in {_COPY: _as_it_is, **rules()}.items()}
    return Watch({**table, **views, **written}, lost)


def _as_it_is(*arguments: Any, **options: Any) -> Any:
    return NotImplemented


def _is_view(operator: Any) -> bool:
    """Whether it gives what shares its first argument's memory, and changes nothing."""
    if not isinstance(operator, torch._ops.OpOverload) or operator._schema.is_mutable:
        return False
    return any(argument.alias_info is not None for argument in operator._schema.arguments[:1])


def _storage(x: Tensor) -> int:
    return int(x.untyped_storage()._cdata)


def _plain(in_place: Any) -> Any:
    """The operator that takes the same and changes nothing. Of `pow_.Scalar` it isn't `pow.Scalar`, of a number."""
    if in_place is None:
        return None
    packet = getattr(aten, in_place._opname[:-1], None)
    taken = [str(each.type) for each in in_place._schema.arguments]
    found = [getattr(packet, overload) for overload in (packet.overloads() if packet else ())]
    fitting = [plain for plain in found if [str(each.type) for each in plain._schema.arguments] == taken]
    same_name = [plain for plain in fitting if plain._overloadname == in_place._overloadname]
    return next(iter((*same_name, *fitting)), None)


def _copied_over(plain: Any) -> Callable[..., Tensor]:
    def rule(x: Tensor, *arguments: Any, **options: Any) -> Tensor:
        return x.copy_(plain(x, *arguments, **options))

    return rule


def take_out(graph: GraphModule) -> bool:
    """Change `graph` so that it mutates nothing; False, and the graph is of no use, where that takes more than this."""
    places = {node: place for place, node in enumerate(graph.graph.nodes)}
    for node in list(graph.graph.nodes):
        if not mutates(node):
            continue
        if node.target is not _COPY or _seen_by_others(node, places):
            return False
        changed, source = node.args[0], node.args[1]
        if _described(changed) != _described(source):
            with graph.graph.inserting_before(node):
                copied = graph.graph.call_function(aten.copy.default, (changed, source))
            copied.meta["val"] = node.meta["val"]
            places[copied] = places[node]
            source = copied
        later = {user for user in changed.users if places[user] > places[node]}
        changed.replace_all_uses_with(source, delete_user_cb=later.__contains__)
        node.replace_all_uses_with(source)
        graph.graph.erase_node(node)
    return True


def mutates(node: Node) -> bool:
    """Whether it changes a tensor in place."""
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable


def _seen_by_others(mutation: Node, places: Mapping[Node, int]) -> bool:
    """Whether something that shares the changed tensor's memory is read after the change.

    Nobody outside the graph does: an input is the graph's own.
    """
    changed = mutation.args[0]
    assert isinstance(changed, Node)
    base = changed
    while (viewed := _viewed(base)) is not None:
        base = viewed
    shared = [alias for alias in _aliases(base) if alias not in (changed, mutation)]
    return any(places[user] > places[mutation] for alias in shared for user in alias.users)


def _aliases(base: Node) -> Iterator[Node]:
    yield base
    for user in base.users:
        if _viewed(user) is base:
            yield from _aliases(user)


def _viewed(node: Node) -> Node | None:
    """What `node` is a view of, if it is one."""
    first = node.args[0] if _is_view(node.target) and node.args else None
    return first if isinstance(first, Node) else None


def _described(node: Node) -> tuple[Any, ...]:
    value = node.meta["val"]
    return (value.dtype, *map(str, value.shape))
