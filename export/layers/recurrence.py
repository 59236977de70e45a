"""Recurrent layers as one loop over time, with the gradient written out: a program that doesn't grow with the sequence.

Left to torch, a layer of 128 steps is 128 copies of a step, and its gradient 128 more. Here the products with the input
are one matrix product for all steps, the loop is an operator of its own (`fedrela::lstm`,
`fedrela::gru`, `fedrela::elman`), and so is its gradient; what remains of a weight's gradient is one matrix product. In
an ONNX program such an operator is a `Scan`, in an ExecuTorch program a jump back (`executorch_programs.loops`).

Notation, as torch's: T steps, batch B, H units; x W^T + b for all steps is `steps` (T, B, gates H).

    >>> layer, x = torch.nn.GRU(3, 2), torch.ones(4, 1, 3)
    >>> ours = gru(x, torch.zeros(1, 1, 2), [p.detach() for p in layer.parameters()], True, 1, 0.0, True, False, False)
    >>> torch.allclose(ours[0], layer(x)[0], atol=1e-6)
    True
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from fedrela.core.errors import UnsupportedOperation
from fedrela.export.layers import recurrence_operators as operators

Layer = Callable[[Tensor, tuple[Tensor, ...], list[Tensor]], tuple[Tensor, ...]]


def rules() -> dict[Any, Callable[..., tuple[Tensor, ...]]]:
    """torch's recurrent layers -> what to call instead."""
    return {torch.lstm: lstm, torch.gru: gru, torch.rnn_tanh: rnn_tanh, torch.rnn_relu: rnn_relu}


def lstm(x: Tensor, state: Sequence[Tensor], *rest: Any) -> tuple[Tensor, ...]:
    """`torch.lstm` of a batch of sequences of one length: outputs, the last h, the last c."""
    return _layers(torch.lstm, _lstm_layer, x, tuple(state), state, *rest)


def gru(x: Tensor, state: Tensor, *rest: Any) -> tuple[Tensor, ...]:
    """`torch.gru` of a batch of sequences of one length: outputs, the last h."""
    return _layers(torch.gru, _gru_layer, x, (state,), state, *rest)


def rnn_tanh(x: Tensor, state: Tensor, *rest: Any) -> tuple[Tensor, ...]:
    """`torch.rnn_tanh` of a batch of sequences of one length: outputs, the last h."""
    return _layers(torch.rnn_tanh, _elman_layer(True), x, (state,), state, *rest)


def rnn_relu(x: Tensor, state: Tensor, *rest: Any) -> tuple[Tensor, ...]:
    """`torch.rnn_relu` of a batch of sequences of one length: outputs, the last h."""
    return _layers(torch.rnn_relu, _elman_layer(False), x, (state,), state, *rest)


def _layers(
    function: Callable[..., tuple[Tensor, ...]],
    layer: Layer,
    x: Tensor,
    states: tuple[Tensor, ...],
    state: Any,
    *rest: Any,
) -> tuple[Tensor, ...]:
    """All layers and directions, one after another; torch's own for projected states.

    Raises UnsupportedOperation for a packed sequence, which has as many rows as its data say.
    """
    if not isinstance(rest[0], list | tuple) or not isinstance(rest[1], bool) or len(rest) != 7:
        raise UnsupportedOperation(
            f"aten.{function.__name__} of a packed sequence",
            remedy="give it padded sequences of one length, and take of its outputs what isn't padding (torch.gather)",
        )
    weights, biases, layers, dropout, training, bidirectional, batch_first = rest
    directions = 2 if bidirectional else 1
    each = 4 if biases else 2
    if len(weights) != layers * directions * each or (dropout and training and layers > 1):
        return tuple(function(x, state, *rest))
    x = x.transpose(0, 1) if batch_first else x
    last: list[tuple[Tensor, ...]] = []
    for index in range(layers):
        outputs = []
        for direction in range(directions):
            place = index * directions + direction
            own = list(weights[place * each : (place + 1) * each])
            start = tuple(part[place] for part in states)
            out, *end = layer(x.flip(0) if direction else x, start, own)
            outputs.append(out.flip(0) if direction else out)
            last.append(tuple(end))
        x = torch.cat(outputs, -1) if bidirectional else outputs[0]
    ends = (torch.stack(parts) for parts in zip(*last, strict=True))
    return (x.transpose(0, 1) if batch_first else x, *ends)


def _lstm_layer(x: Tensor, start: tuple[Tensor, ...], weights: list[Tensor]) -> tuple[Tensor, ...]:
    bias = weights[2] + weights[3] if len(weights) == 4 else None
    steps = torch.nn.functional.linear(x, weights[0], bias)
    outputs, cells = _Lstm.apply(steps, start[0], start[1], weights[1])  # type: ignore[no-untyped-call]
    return outputs, outputs[-1], cells[-1]


def _gru_layer(x: Tensor, start: tuple[Tensor, ...], weights: list[Tensor]) -> tuple[Tensor, ...]:
    bias = weights[3] if len(weights) == 4 else weights[1].new_zeros(weights[1].shape[0])
    steps = torch.nn.functional.linear(x, weights[0], weights[2] if len(weights) == 4 else None)
    outputs = _Gru.apply(steps, start[0], weights[1], bias)  # type: ignore[no-untyped-call]
    return outputs, outputs[-1]


def _elman_layer(tanh: bool) -> Layer:
    def layer(x: Tensor, start: tuple[Tensor, ...], weights: list[Tensor]) -> tuple[Tensor, ...]:
        bias = weights[2] + weights[3] if len(weights) == 4 else None
        steps = torch.nn.functional.linear(x, weights[0], bias)
        outputs = _Elman.apply(steps, start[0], weights[1], tanh)  # type: ignore[no-untyped-call]
        return outputs, outputs[-1]

    return layer


class _Lstm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, steps: Tensor, h: Tensor, c: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        outputs, cells, *gates = operators.lstm(steps, h, c, weight)
        ctx.save_for_backward(outputs, cells, *gates, h, c, weight)
        ctx.set_materialize_grads(False)  # nobody asks for most cells
        return outputs, cells

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, grad_cells: Tensor | None) -> tuple[Tensor, ...]:
        outputs, cells, i, f, g, o, squashed, h, c, weight = ctx.saved_tensors
        before = torch.cat([c[None], cells[:-1]])
        slopes = (g * i * (1 - i), before * f * (1 - f), i * (1 - g * g), squashed * o * (1 - o))
        steps, grad_h, grad_c = operators.lstm_backward(
            torch.zeros_like(outputs) if grad is None else grad,
            grad_cells,
            o * (1 - squashed * squashed),
            torch.cat(slopes, 2),
            f,
            weight,
        )
        return steps, grad_h, grad_c, _weight_gradient(steps, outputs, h)


class _Gru(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, steps: Tensor, h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        given: tuple[Tensor, ...] = operators.gru(steps, h, weight, bias)
        ctx.save_for_backward(*given, h, weight)
        return given[0]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        outputs, r, z, n, of_hidden, h, weight = ctx.saved_tensors
        dn = (1 - z) * (1 - n * n)
        dr, dz = dn * of_hidden * r * (1 - r), (torch.cat([h[None], outputs[:-1]]) - n) * z * (1 - z)
        slopes = torch.cat([dr, dz, dn * r], 2)
        totals, grad_h = operators.gru_backward(grad, slopes, z, weight)
        thrice = torch.cat([totals, totals, totals], 2)
        hidden = thrice * slopes
        return thrice * torch.cat([dr, dz, dn], 2), grad_h, _weight_gradient(hidden, outputs, h), hidden.sum((0, 1))


class _Elman(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, steps: Tensor, h: Tensor, weight: Tensor, tanh: bool) -> Tensor:
        outputs: Tensor = operators.elman(steps, h, weight, tanh)
        ctx.save_for_backward(outputs, h, weight)
        ctx.tanh = tanh
        return outputs

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        outputs, h, weight = ctx.saved_tensors
        slopes = 1 - outputs * outputs if ctx.tanh else (outputs > 0).to(outputs.dtype)
        steps, grad_h = operators.elman_backward(grad, slopes, weight)
        return steps, grad_h, _weight_gradient(steps, outputs, h), None


def _weight_gradient(grad: Tensor, outputs: Tensor, start: Tensor) -> Tensor:
    """Of the product with the state before each step: (gates H, H). Of the factors the smaller one is transposed."""
    before = torch.cat([start[None], outputs[:-1]])
    return (before.reshape(-1, before.shape[-1]).T @ grad.reshape(-1, grad.shape[-1])).T
