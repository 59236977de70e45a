"""What each output of an ONNX program is computed from, and by which operators the labels reach it.

dependences(program, body)["new.bias"].labels      # ("Equal", "Cast", "ReduceSum", "Add"): from y to the output

An output that the labels reach is nothing unusual: a training step's are all reached, by way of the loss. What is worth
a look is a way that leads past it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from fedrela.core.onnx_files.in_place import Node, nodes
from fedrela.core.protocol.programs import Program, Role

LABELS: tuple[Role, ...] = ("y", "labels", "class_prior")


@dataclass(frozen=True)
class Dependence:
    """What an output is computed from: the roles of inputs, and a shortest way of the labels to it, if there is one."""

    roles: tuple[str, ...]
    labels: tuple[str, ...] | None


def operators(body: bytes) -> dict[str, int]:
    """Operator -> how often, the most frequent first. Those within branches and loops aren't counted."""
    return dict(Counter(node.operator for node in nodes(body)).most_common())


def dependences(program: Program, body: bytes) -> dict[str, Dependence]:
    """By output, in the program's order."""
    graph = nodes(body)
    roles = {item.name: {item.role} for item in program.inputs}
    for node in graph:  # in an order that respects inputs
        reached = {role for name in node.inputs for role in roles.get(name, ())}
        roles |= {name: roles.get(name, set()) | reached for name in node.outputs}
    ways = _ways(graph, [item.name for item in program.inputs if item.role in LABELS])
    return {name: Dependence(tuple(sorted(roles.get(name, ()))), ways.get(name)) for name in program.outputs}


def _ways(graph: Sequence[Node], sources: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """For every value that `sources` reach, the operators of a shortest way to it."""
    ways: dict[str, tuple[str, ...]] = dict.fromkeys(sources, ())
    for node in graph:
        reached = [ways[name] for name in node.inputs if name in ways]
        if not reached:
            continue
        way = (*min(reached, key=len), node.operator)
        for name in node.outputs:
            if name not in ways or len(way) < len(ways[name]):
                ways[name] = way
    return ways
