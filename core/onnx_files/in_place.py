"""Which state tensors a training program may write over: a new value in the old one's memory, so that it is held once.

A runtime may run a graph's operators in any order that respects their inputs. So `new.S` may take the place of `S`
where every operator that reads S is one that new.S depends on, and the operator that writes it goes element by element.
Runtimes merge neighboring operators and hand views on instead of copies, so whatever is computed from state alone
counts as a place where the state is still read.

    >>> graph = [Node("MatMul", ("x", "w"), ("y",)), Node("Mul", ("y", "lr"), ("step",))]
    >>> late_readers([*graph, Node("Sub", ("w", "step"), ("new.w",))], {"w": "new.w"}, {"x"})
    {'w': ()}
    >>> late_readers([*graph, Node("Sub", ("w", "x"), ("new.w",))], {"w": "new.w"}, {"x"})
    {'w': (0,)}
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from fedrela.core.errors import InvalidBundle
from fedrela.core.onnx_files.fields import fields

ELEMENTWISE = frozenset({"Add", "Sub", "Mul", "Div", "Max", "Min", "Pow", "Where", "Identity", "Neg", "Sqrt"})
_VIEWS = frozenset({"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity"})
_GRAPH, _NODE = 7, 1  # field numbers of onnx.proto: ModelProto, GraphProto
_INPUT, _OUTPUT, _OPERATOR, _ATTRIBUTE = 1, 2, 4, 5  # NodeProto
_SUBGRAPHS = (6, 11)  # AttributeProto


@dataclass(frozen=True)
class Node:
    """An operator of a graph, and the values it reads and writes; what its branches read counts as its own."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def nodes(program: bytes) -> list[Node]:
    """The operators of an ONNX file, in its order. Raises InvalidBundle if the bytes aren't an ONNX model."""
    graphs = [body for number, _, body in fields(program) if number == _GRAPH]
    if len(graphs) != 1:
        raise InvalidBundle("the program has no graph", remedy="export the model again")
    return list(_nodes(graphs[0]))


def updatable(graph: Sequence[Node], carried: Mapping[str, str], fresh: Collection[str]) -> frozenset[str]:
    """The state tensors that may be written over; see `late_readers`."""
    return frozenset(name for name, late in late_readers(graph, carried, fresh).items() if not late)


def late_readers(
    graph: Sequence[Node], carried: Mapping[str, str], fresh: Collection[str]
) -> dict[str, tuple[int, ...]]:
    """For each state tensor whose writer goes element by element: the nodes that read it and may run after that.

    graph: in an order that respects inputs. carried: state tensor -> its new value. fresh: inputs that change with
    every step (batch, randoms); all others count as state.
    """
    bits = {name: 1 << index for index, name in enumerate(carried)}
    holds = dict(bits)  # value -> the state tensors that it may share memory with, once a runtime merged operators
    changing, made_by = set(fresh), dict[str, int]()
    ancestors: list[int] = []
    names, readers = list(carried), dict.fromkeys(carried, 0)
    for index, node in enumerate(graph):
        before, held = 1 << index, 0
        for name in node.inputs:
            before |= ancestors[made_by[name]] if name in made_by else 0
            held |= holds.get(name, 0)
        ancestors.append(before)
        made_by |= dict.fromkeys(node.outputs, index)
        if not changing.isdisjoint(node.inputs):
            changing.update(node.outputs)
        if held and (changing.isdisjoint(node.outputs) or node.operator in _VIEWS):
            holds |= dict.fromkeys(node.outputs, held)
        for position in _ones(held):
            readers[names[position]] |= 1 << index
    overwritable = {}
    for name, new in carried.items():
        if new in made_by and _elementwise(graph, made_by, made_by[new], name, holds, bits[name]):
            overwritable[name] = tuple(_ones(readers[name] & ~ancestors[made_by[new]]))
    return overwritable


def _elementwise(
    graph: Sequence[Node], made_by: Mapping[str, int], writer: int, name: str, holds: Mapping[str, int], bit: int
) -> bool:
    """Whether the writer needs of `name` only the element that it writes, if it reads it at all."""
    own = [value for value in graph[writer].inputs if holds.get(value, 0) & bit]
    makers = [graph[made_by[value]].operator for value in own if value != name]
    return not own or (graph[writer].operator in ELEMENTWISE and ELEMENTWISE.issuperset(makers))


def _ones(mask: int) -> Iterator[int]:
    """Positions of the bits that are set."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


def _nodes(graph: memoryview) -> Iterator[Node]:
    for number, _, body in fields(graph):
        if number == _NODE:
            yield _node(body)


def _node(body: memoryview) -> Node:
    inputs, outputs, operator = [], [], ""
    for number, _, content in fields(body):
        if number == _INPUT and content:
            inputs.append(str(content, errors="replace"))
        elif number == _OUTPUT and content:
            outputs.append(str(content, errors="replace"))
        elif number == _OPERATOR:
            operator = str(content, errors="replace")
        elif number == _ATTRIBUTE:
            branches = [branch for field, _, branch in fields(content) if field in _SUBGRAPHS]
            inputs += [name for branch in branches for node in _nodes(branch) for name in node.inputs]
    return Node(operator, tuple(inputs), tuple(outputs))
