"""Activations that a training step computes a second time rather than keep from the forward to the backward pass.

A ReLU after a BatchNorm is two cheap passes over what the BatchNorm's gradient keeps anyway. Where the activation is
large and what reads it is a convolution so costly that those passes don't show, the backward pass makes it anew (Chen
et al. 2016, https://arxiv.org/abs/1604.06174): the same operators on the same numbers give the same bits.

    recompute(model, definition)
"""

import copy
import math
from collections.abc import Sequence

import onnx

from fedrela.export.onnx_programs.shapes import Shapes, shapes
from fedrela.export.program import Definition

ACTIVATIONS = ("Relu", "Clip", "LeakyRelu")
LARGE = 1 << 15  # elements of one example
COSTLY = 256  # multiplications of the convolution for each element that it reads
# The second BatchNormalization must differ in something, or a runtime finds that it is the first and keeps that one's
# result. In inference mode, which is the one used here, this attribute means nothing.
_OTHER_MOMENTUM = 0.5


def recompute(model: onnx.ModelProto, definition: Definition, *, large: int = LARGE, costly: int = COSTLY) -> None:
    """Change `model` in place. Names are the manifest's by now."""
    if "loss_sum" not in definition.outputs or not any(
        node.op_type == "BatchNormalization" for node in model.graph.node
    ):
        return
    nodes = list(model.graph.node)
    sizes = shapes(model)
    forward = _needed_for("loss_sum", nodes)
    made_by = {output: node for node in nodes for output in node.output}
    added: dict[int, list[onnx.NodeProto]] = {}  # after which node
    for place, node in enumerate(nodes):
        norm = made_by.get(node.input[0]) if node.op_type in ACTIVATIONS else None
        if norm is None or norm.op_type != "BatchNormalization" or place not in forward:
            continue
        readers = [(index, reader) for index, reader in enumerate(nodes) if node.output[0] in reader.input]
        late = [reader for index, reader in readers if index not in forward]
        read_elsewhere = any(
            norm.input[0] in reader.input for index, reader in enumerate(nodes) if index not in forward
        )
        cost = max((_cost(reader, sizes) for index, reader in readers if index in forward), default=0)
        if late and read_elsewhere and cost >= costly and _example_size(node.output[0], sizes) >= large:
            added[place] = _again(norm, node, late)
    del model.graph.node[:]
    for place, node in enumerate(nodes):
        model.graph.node.extend([node, *added.get(place, ())])


def _needed_for(output: str, nodes: Sequence[onnx.NodeProto]) -> set[int]:
    """The places of the nodes that `output` depends on."""
    needed, places = {output}, set[int]()
    for place in reversed(range(len(nodes))):
        if needed.intersection(nodes[place].output):
            places.add(place)
            needed.update(nodes[place].input)
    return places


def _cost(reader: onnx.NodeProto, sizes: Shapes) -> int:
    """Multiplications for each element that a convolution reads, at stride 1; 0 for anything else, and if not known."""
    if reader.op_type != "Conv":
        return 0
    groups = next((attribute.i for attribute in reader.attribute if attribute.name == "group"), 1)
    weight = sizes.get(reader.input[1], (0,))
    return (weight[0] or 0) // groups * math.prod(size or 0 for size in weight[2:])


def _example_size(name: str, sizes: Shapes) -> int:
    """Elements of one example; 0 where they aren't known."""
    shape = sizes.get(name, ())
    return math.prod(size or 0 for size in shape[1:]) if shape[:1] == (None,) else 0


def _again(norm: onnx.NodeProto, activation: onnx.NodeProto, late: Sequence[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Both nodes once more, and `late` readers of the activation read that."""
    first, second = copy.deepcopy(norm), copy.deepcopy(activation)
    for attribute in list(first.attribute):
        if attribute.name == "momentum":
            first.attribute.remove(attribute)
    first.attribute.append(onnx.helper.make_attribute("momentum", _OTHER_MOMENTUM))
    first.output[0], second.output[0] = f"{norm.output[0]}.again", f"{activation.output[0]}.again"
    second.input[0] = first.output[0]
    first.name, second.name = first.output[0], second.output[0]
    for reader in late:
        reader.input[:] = [second.output[0] if name == activation.output[0] else name for name in reader.input]
    return [first, second]
