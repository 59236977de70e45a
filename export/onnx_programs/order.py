"""The order of a training program's operators, so that a step needs little memory.

ONNX Runtime runs operators depth first, from the last result in the file's order backwards, and of an operator's inputs
the one that is made last in the file first. Two things follow for a file:

- What is computed from state alone (a velocity times momentum, a mirrored kernel) stands first in it, so that it is
computed last, when it is needed. - A parameter's new value may take the old one's memory only after everything that
reads the parameter (`fedrela.core.onnx_files.in_place`); its update comes as soon as its gradient is known, which may
be before the gradient of the layer's input, which reads it too. The update is made to wait: it is reshaped to the shape
it has, by a shape that is worked out from the other gradient's batch size times 0.
"""

from collections.abc import Sequence
from math import prod

import numpy as np
import onnx
from onnx import helper, numpy_helper

from fedrela.core.onnx_files.in_place import ELEMENTWISE, Node, late_readers
from fedrela.core.protocol.programs import CARRIED, CHANGING
from fedrela.export.onnx_programs.shapes import Shapes, shapes
from fedrela.export.program import Definition

SMALLEST = 1 << 14  # elements


def prepare(model: onnx.ModelProto, definition: Definition, *, smallest: int = SMALLEST) -> None:
    """Reorder `model`, and make the updates of parameters wait, if they have at least `smallest` elements: a wait takes
    a few microseconds, and a small tensor may as well be held twice. Names are the manifest's by now.
    """
    carried = {item.name: "new." + item.name for item in definition.inputs if item.role in CARRIED}
    carried = {name: new for name, new in carried.items() if new in definition.outputs}
    fresh = {item.name for item in definition.inputs if item.role in CHANGING}
    if not carried:
        return
    large = {item.name for item in definition.inputs if prod(s for s in item.shape if isinstance(s, int)) >= smallest}
    _state_first(model.graph, fresh)
    late = late_readers(_plain(model.graph.node), carried, fresh)
    known = shapes(model) if any(late.values()) else {}
    waits: dict[str, list[onnx.NodeProto]] = {}
    nodes = list(model.graph.node)
    places = {output: place for place, node in enumerate(nodes) for output in node.output}
    for index, (name, readers) in enumerate(late.items()):
        read = _last_values(nodes, readers, known) if name in large and readers else None
        if read is not None:
            place = places[carried[name]]
            later = any(places[value] >= place for value in read)
            waits[carried[name]] = [] if later else _wait(model.graph, nodes[place], name, read, known, f"wait{index}")
    del model.graph.node[:]
    for node in nodes:
        model.graph.node.extend([step for output in node.output for step in waits.get(output, ())])
        model.graph.node.append(node)


def _plain(nodes: Sequence[onnx.NodeProto]) -> list[Node]:
    return [Node(node.op_type, tuple(filter(None, node.input)), tuple(filter(None, node.output))) for node in nodes]


def _state_first(graph: onnx.GraphProto, fresh: set[str]) -> None:
    """Nodes that need nothing of the batch first, in their order; left alone where a branch may read any value."""
    if any(attribute.type == onnx.AttributeProto.GRAPH for node in graph.node for attribute in node.attribute):
        return
    changing, first, rest = set(fresh), list[onnx.NodeProto](), list[onnx.NodeProto]()
    for node in graph.node:
        if changing.isdisjoint(node.input):
            first.append(node)
        else:
            rest.append(node)
            changing.update(node.output)
    ordered = [*first, *rest]
    del graph.node[:]
    graph.node.extend(ordered)


def _last_values(nodes: Sequence[onnx.NodeProto], readers: Sequence[int], known: Shapes) -> list[str] | None:
    """Of each reader that no other reader needs, a value whose first size is the batch's; None if one has none."""
    found = []
    for index in readers:
        outputs = set(nodes[index].output)
        if any(outputs.intersection(nodes[other].input) for other in readers):
            continue  # the other one waits for it
        opened = [name for name in nodes[index].output if known.get(name, ())[:1] == (None,)]
        if not opened:
            return None
        found.append(opened[0])
    return found or None


def _wait(
    graph: onnx.GraphProto, writer: onnx.NodeProto, name: str, read: Sequence[str], known: Shapes, prefix: str
) -> list[onnx.NodeProto]:
    """Nodes to insert before `writer`, which reads its other operand through them from now on."""
    others = [value for value in writer.input if value != name and None not in known.get(value, (None,))]
    if writer.op_type not in ELEMENTWISE or not others:
        return []
    other = others[-1]
    zero, sizes = f"{prefix}.zero", f"{prefix}.sizes"
    graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.int64), zero))
    graph.initializer.append(numpy_helper.from_array(np.array(known[other], np.int64), sizes))
    steps = []
    total = ""
    for index, value in enumerate(read):
        steps.append(helper.make_node("Shape", [value], [f"{prefix}.{index}"], start=0, end=1))
        if index:
            steps.append(helper.make_node("Add", [total, f"{prefix}.{index}"], [f"{prefix}.{index}.sum"]))
        total = f"{prefix}.{index}.sum" if index else f"{prefix}.0"
    steps.append(helper.make_node("Mul", [total, zero], [f"{prefix}.nothing"]))
    steps.append(helper.make_node("Add", [f"{prefix}.nothing", sizes], [f"{prefix}.shape"]))
    steps.append(helper.make_node("Reshape", [other, f"{prefix}.shape"], [f"{prefix}.value"]))
    writer.input[list(writer.input).index(other)] = f"{prefix}.value"
    for index, step in enumerate(steps):
        step.name = f"{prefix}.n{index}"
    return steps
