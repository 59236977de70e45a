"""Shapes of the values in a training program, with the sizes that depend on the batch left open.

shapes(model)["v12"]       # (None, 64, 32, 32)
"""

import onnx

_BATCHES = (7, 11)  # a size that differs between the two is one that no runtime can work out ahead
Shapes = dict[str, tuple[int | None, ...]]


def shapes(model: onnx.ModelProto) -> Shapes:
    """Shapes of the values whose sizes can be worked out; None for a size that depends on the batch."""
    known = [_sizes(model, batch) for batch in _BATCHES]
    return {
        name: tuple(one if one == other else None for one, other in zip(sizes, known[1][name], strict=True))
        for name, sizes in known[0].items()
        if name in known[1]
    }


def _sizes(model: onnx.ModelProto, batch: int) -> dict[str, tuple[int, ...]]:
    """Shapes for batches of one size."""
    fixed = onnx.ModelProto.FromString(model.SerializeToString())
    for value in fixed.graph.input:
        for size in value.type.tensor_type.shape.dim:
            if not size.HasField("dim_value"):
                size.dim_value = batch
    graph = onnx.shape_inference.infer_shapes(fixed, data_prop=True).graph
    known = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.value_info, *graph.input, *graph.output):
        sizes = value.type.tensor_type.shape.dim
        if value.type.tensor_type.HasField("shape") and all(size.HasField("dim_value") for size in sizes):
            known[value.name] = tuple(size.dim_value for size in sizes)
    return known
