"""The loops of recurrent layers as one Scan each; see `fedrela.export.layers.recurrence_operators` for the formulas.

What all steps share (the weight) is read from outside of the loop's body.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import onnx_ir as ir
from onnxscript import opset18 as op
from torch.onnx._internal.exporter import _core
from torch.onnx._internal.exporter._torchlib.ops.hop import call_op

from fedrela.export.onnx_programs.forms.values import Value, floats, integers

Body = Callable[[list[Value], list[Value]], tuple[list[Value], list[Value]]]  # carried, one step's -> new ones, outputs


def lstm(steps: Value, h: Value, c: Value, weight: Value) -> tuple[Value, ...]:
    """outputs, cells, i, f, g, o, tanh of the cells, each (T, B, H)."""
    across, units = _transposed(weight), _units(weight)

    def body(carried: list[Value], own: list[Value]) -> tuple[list[Value], list[Value]]:
        i, f, g, o = _split(op.Add(own[0], op.MatMul(carried[0], across)), 4, units)
        i, f, g, o = op.Sigmoid(i), op.Sigmoid(f), op.Tanh(g), op.Sigmoid(o)
        cell = op.Add(op.Mul(f, carried[1]), op.Mul(i, g))
        squashed = op.Tanh(cell)
        out = op.Mul(o, squashed)
        return [out, cell], [op.Identity(out), op.Identity(cell), i, f, g, o, squashed]

    return _scan([h, c], [steps], [units] * 7, body)[2:]


def lstm_backward(
    grad: Value, grad_cells: Value | None, through: Value, slopes: Value, forget: Value, weight: Value
) -> tuple[Value, ...]:
    """of the steps (T, B, 4 H), of the first h and c (B, H)."""
    units, zeros = _units(weight), _zeros_like_step(grad)

    def body(carried: list[Value], own: list[Value]) -> tuple[list[Value], list[Value]]:
        grad_out, through_step, slope, forget_step, *grad_cell = own
        dh = op.Add(carried[0], grad_out)
        before = op.Add(carried[1], grad_cell[0]) if grad_cell else carried[1]
        dc = op.Add(before, op.Mul(dh, through_step))
        step = op.Mul(op.Concat(dc, dc, dc, dh, axis=1), slope)
        return [op.MatMul(step, weight), op.Mul(dc, forget_step)], [step]

    own = [grad, through, slopes, forget, *([] if grad_cells is None else [grad_cells])]
    dh, dc, steps = _scan([zeros, zeros], own, [4 * units], body, reverse=True)
    return steps, dh, dc


def gru(steps: Value, h: Value, weight: Value, bias: Value) -> tuple[Value, ...]:
    """outputs, r, z, n, and what r is multiplied with, each (T, B, H)."""
    across, units = _transposed(weight), _units(weight)

    def body(carried: list[Value], own: list[Value]) -> tuple[list[Value], list[Value]]:
        step, hidden = _split(own[0], 3, units), _split(op.Add(op.MatMul(carried[0], across), bias), 3, units)
        r, z = op.Sigmoid(op.Add(step[0], hidden[0])), op.Sigmoid(op.Add(step[1], hidden[1]))
        n = op.Tanh(op.Add(step[2], op.Mul(r, hidden[2])))
        out = op.Add(n, op.Mul(z, op.Sub(carried[0], n)))
        return [out], [op.Identity(out), r, z, n, hidden[2]]

    return _scan([h], [steps], [units] * 5, body)[1:]


def gru_backward(grad: Value, slopes: Value, keep: Value, weight: Value) -> tuple[Value, ...]:
    """of every output, all later steps included (T, B, H), of the first h (B, H)."""

    def body(carried: list[Value], own: list[Value]) -> tuple[list[Value], list[Value]]:
        grad_out, slope, keep_step = own
        dh = op.Add(carried[0], grad_out)
        hidden = op.Mul(op.Concat(dh, dh, dh, axis=1), slope)
        return [op.Add(op.Mul(dh, keep_step), op.MatMul(hidden, weight))], [op.Identity(dh)]

    own = [grad, slopes, keep]
    dh, totals = _scan([_zeros_like_step(grad)], own, [_units(weight)], body, reverse=True)
    return totals, dh


def elman(steps: Value, h: Value, weight: Value, tanh: bool) -> Value:
    """outputs (T, B, H)."""
    across = _transposed(weight)

    def body(carried: list[Value], own: list[Value]) -> tuple[list[Value], list[Value]]:
        total = op.Add(own[0], op.MatMul(carried[0], across))
        out = op.Tanh(total) if tanh else op.Relu(total)
        return [out], [op.Identity(out)]

    return _scan([h], [steps], [_units(weight)], body)[1]


def elman_backward(grad: Value, slopes: Value, weight: Value) -> tuple[Value, ...]:
    """of the steps (T, B, H), of the first h (B, H)."""

    def body(carried: list[Value], own: list[Value]) -> tuple[list[Value], list[Value]]:
        step = op.Mul(op.Add(carried[0], own[0]), own[1])
        return [op.MatMul(step, weight)], [step]

    dh, steps = _scan([_zeros_like_step(grad)], [grad, slopes], [_units(weight)], body, reverse=True)
    return steps, dh


def _scan(
    start: Sequence[Value], steps: Sequence[Value], widths: Sequence[int], body: Body, *, reverse: bool = False
) -> tuple[Value, ...]:
    """The carried values after the last step, then what each step gives, of these widths, along a new first axis."""
    tracer = _core.current_tracer
    assert tracer is not None
    place = len(tracer.nodes)
    carried = [_inner(f"carried{n}", value, value.shape[-1], steps[0]) for n, value in enumerate(start)]
    own = [_inner(f"step{n}", value, value.shape[-1], steps[0]) for n, value in enumerate(steps)]
    new, outputs = body(carried, own)
    nodes = tracer.nodes[place:]
    del tracer.nodes[place:]
    direction = int(reverse)
    results = call_op(
        "Scan",
        *start,
        *steps,
        _num_outputs=len(new) + len(outputs),
        body=ir.Graph([*carried, *own], [*new, *outputs], nodes=nodes, name="body"),
        num_scan_inputs=len(steps),
        scan_input_directions=[direction] * len(steps),
        scan_output_directions=[direction] * len(outputs),
    )
    length, batch = steps[0].shape[0], steps[0].shape[1]
    for value, before in zip(results, start, strict=False):
        value.shape, value.dtype = ir.Shape([batch, before.shape[-1]]), ir.DataType.FLOAT
    for value, width in zip(results[len(new) :], widths, strict=True):
        value.shape, value.dtype = ir.Shape([length, batch, width]), ir.DataType.FLOAT
    return tuple(results)


def _inner(name: str, outside: Value, width: int, steps: Value) -> Value:
    """A value of the body: one step's, or what is carried to it, (B, width)."""
    shape = ir.Shape([steps.shape[1], width])
    return ir.Value(name=name, shape=shape, type=ir.TensorType(ir.DataType.FLOAT))


def _units(weight: Value) -> int:
    return int(weight.shape[1])


def _split(value: Value, parts: int, units: int) -> list[Value]:
    ends = [units * part for part in range(parts + 1)]
    return [op.Slice(value, integers([a]), integers([b]), integers([1])) for a, b in pairwise(ends)]


def _transposed(weight: Value) -> Value:
    return op.Transpose(weight, perm=[1, 0])


def _zeros_like_step(steps: Value) -> Value:
    """(B, H) of zeros: the first step times 0."""
    first = op.Squeeze(op.Slice(steps, integers([0]), integers([1]), integers([0])), integers([0]))
    zeros = op.Mul(first, floats(0.0))
    zeros.shape, zeros.dtype = ir.Shape(list(steps.shape)[1:]), ir.DataType.FLOAT
    return zeros
