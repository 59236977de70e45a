"""The loops of recurrent layers, forward and backward, as operators that a trace holds whole.

A step, with s the sigmoid, and gates in torch's order (Hochreiter and Schmidhuber 1997; Cho et al. 2014; Elman 1990):

    lstm    i, f, g, o = s, s, tanh, s of (steps_t + h W^T);  c' = f c + i g;  h' = o tanh(c')
    gru     r, z = s of (steps_t + h W^T + b) of theirs;  n = tanh(steps_n + r (h W_n^T + b_n));  h' = n + z (h - n)
    elman   h' = tanh or ReLU of (steps_t + h W^T)

A backward loop holds only what a step needs of the one after it: what is a product of the forward pass's own values
(`slopes`) is worked out for all steps at once, outside of the loop. dh and dc are the gradients of h and c:

    lstm    dh += grad_t;  dc += dh through_t;  d(steps_t) = [dc, dc, dc, dh] slopes_t;  dh = d(steps_t) W;  dc *= f_t
    gru     dh += grad_t;  dh = dh keep_t + [dh, dh, dh] slopes_t W
    elman   d(steps_t) = (dh + grad_t) slopes_t;  dh = d(steps_t) W

    >>> outputs = elman(torch.zeros(3, 1, 2), torch.ones(1, 2), torch.eye(2), False)
    >>> outputs[:, 0, 0].tolist()
    [1.0, 1.0, 1.0]
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def _lstm(steps: Tensor, h: Tensor, c: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    outputs, cells, gates = [], [], []
    for step in steps.unbind(0):
        i, f, g, o = (step + h @ weight.T).chunk(4, 1)
        i, f, g, o = torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)
        c = f * c + i * g
        h = o * torch.tanh(c)
        outputs.append(h)
        cells.append(c)
        gates.append(torch.cat([i, f, g, o], 1))
    return torch.stack(outputs), torch.stack(cells), torch.stack(gates)


def _lstm_backward(
    grad: Tensor, grad_cells: Tensor | None, through: Tensor, slopes: Tensor, forget: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    dh, dc, steps = torch.zeros_like(grad[0]), torch.zeros_like(grad[0]), []
    for t in reversed(range(grad.shape[0])):
        dh = dh + grad[t]
        dc = dc + dh * through[t] if grad_cells is None else dc + grad_cells[t] + dh * through[t]
        step = torch.cat([dc, dc, dc, dh], 1) * slopes[t]
        dh, dc = step @ weight, dc * forget[t]
        steps.append(step)
    return torch.stack(steps[::-1]), dh, dc


def _gru(steps: Tensor, h: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    outputs, gates = [], []
    for step in steps.unbind(0):
        own, hidden = step.chunk(3, 1), (h @ weight.T + bias).chunk(3, 1)
        r, z = torch.sigmoid(own[0] + hidden[0]), torch.sigmoid(own[1] + hidden[1])
        n = torch.tanh(own[2] + r * hidden[2])
        h = n + z * (h - n)
        outputs.append(h)
        gates.append(torch.cat([r, z, n, hidden[2]], 1))
    return torch.stack(outputs), torch.stack(gates)


def _gru_backward(grad: Tensor, slopes: Tensor, keep: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    dh, totals = torch.zeros_like(grad[0]), []
    for t in reversed(range(grad.shape[0])):
        dh = dh + grad[t]
        totals.append(dh)
        dh = dh * keep[t] + (torch.cat([dh, dh, dh], 1) * slopes[t]) @ weight
    return torch.stack(totals[::-1]), dh


def _elman(steps: Tensor, h: Tensor, weight: Tensor, tanh: bool) -> Tensor:
    outputs = []
    for step in steps.unbind(0):
        h = torch.tanh(step + h @ weight.T) if tanh else torch.relu(step + h @ weight.T)
        outputs.append(h)
    return torch.stack(outputs)


def _elman_backward(grad: Tensor, slopes: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    dh, steps = torch.zeros_like(grad[0]), []
    for t in reversed(range(grad.shape[0])):
        step = (dh + grad[t]) * slopes[t]
        dh = step @ weight
        steps.append(step)
    return torch.stack(steps[::-1]), dh


def _like_state(steps: Tensor, gates: int) -> Tensor:
    return steps.new_empty((*steps.shape[:2], steps.shape[2] // gates))


_FAKES: dict[Callable[..., Any], Callable[..., Any]] = {
    _lstm: lambda steps, h, c, weight: (_like_state(steps, 4), _like_state(steps, 4), torch.empty_like(steps)),
    _lstm_backward: lambda grad, grad_cells, through, slopes, forget, weight: (
        torch.empty_like(slopes), torch.empty_like(grad[0]), torch.empty_like(grad[0]),
    ),
    _gru: lambda steps, h, weight, bias: (
        _like_state(steps, 3), steps.new_empty((*steps.shape[:2], 4 * (steps.shape[2] // 3))),
    ),
    _gru_backward: lambda grad, slopes, keep, weight: (torch.empty_like(grad), torch.empty_like(grad[0])),
    _elman: lambda steps, h, weight, tanh: torch.empty_like(steps),
    _elman_backward: lambda grad, slopes, weight: (torch.empty_like(grad), torch.empty_like(grad[0])),
}  # fmt: skip


def _operator(function: Callable[..., Any]) -> Any:
    """`function` as torch.ops.fedrela.<its name>."""
    made = torch.library.custom_op(f"fedrela::{function.__name__.strip('_')}", function, mutates_args=())
    made.register_fake(_FAKES[function])
    return made._opoverload


lstm, lstm_backward = _operator(_lstm), _operator(_lstm_backward)
gru, gru_backward = _operator(_gru), _operator(_gru_backward)
elman, elman_backward = _operator(_elman), _operator(_elman_backward)


def unrolled() -> dict[Any, Callable[..., Any]]:
    """Operator -> its steps one by one, for a runtime that has no loop."""
    return {
        lstm: _lstm,
        lstm_backward: _lstm_backward,
        gru: _gru,
        gru_backward: _gru_backward,
        elman: _elman,
        elman_backward: _elman_backward,
    }
