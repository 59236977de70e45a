"""A copy of one tensor over another: torch's own form leaves out that it may be a smaller one, repeated."""

from onnxscript import opset18 as op

from fedrela.export.onnx_programs.forms.values import Value


def copy(x: Value, source: Value, non_blocking: bool = False) -> Value:
    """aten.copy: `source` in the shape and type of `x`."""
    cast = source if source.dtype == x.dtype else op.CastLike(source, x)
    wanted, given = ([str(size) for size in value.shape] if value.shape is not None else None for value in (x, source))
    same = wanted is not None and wanted == given and "None" not in wanted
    return op.Identity(cast) if same else op.Expand(cast, op.Shape(x))
