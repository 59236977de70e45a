"""The loops of recurrent layers, forward and backward, as operators that a trace holds whole.

A step, with s the sigmoid, and gates in torch's order (Hochreiter and Schmidhuber 1997; Cho et al. 2014; Elman 1990):

    lstm    i, f, g, o = s, s, tanh, s of (steps_t + h W^T);  c' = f c + i g;  h' = o tanh(c')
    gru     r, z = s of (steps_t + h W^T + b) of theirs;  n = tanh(steps_n + r (h W_n^T + b_n));  h' = n + z (h - n)
    elman   h' = tanh or ReLU of (steps_t + h W^T)

What a forward loop gives of each step beside outputs and cells: i, f, g, o, tanh(c'); r, z, n and what r is multiplied
with. A backward loop holds only what a step needs of the one after it: what is a product of the forward pass's own
values (`slopes`) is worked out for all steps at once, outside of the loop. dh and dc are the gradients of h and c:

    lstm    dh += grad_t;  dc += dh through_t;  d(steps_t) = [dc, dc, dc, dh] slopes_t;  dh = d(steps_t) W;  dc *= f_t
    gru     dh += grad_t;  dh = dh keep_t + [dh, dh, dh] slopes_t W
    elman   d(steps_t) = (dh + grad_t) slopes_t;  dh = d(steps_t) W

    >>> outputs = elman(torch.zeros(3, 1, 2), torch.ones(1, 2), torch.eye(2), False)
    >>> outputs[:, 0, 0].tolist()
    [1.0, 1.0, 1.0]
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

Tensors = list[Tensor]
Step = Callable[[Tensors, Tensors, Tensors], tuple[Tensors, Tensors]]
# A step's name, what is carried to the first one, each step's own (T, ...), what all share, whether the last step comes
# first; gives what is carried from the last one, and what each step gave (T, ...).
Loop = Callable[[str, Tensors, Tensors, Tensors, bool], Tensors]


def _lstm_step(carried: Tensors, own: Tensors, shared: Tensors) -> tuple[Tensors, Tensors]:
    i, f, g, o = (own[0] + carried[0] @ shared[0]).chunk(4, 1)
    i, f, g, o = torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)
    c = f * carried[1] + i * g
    squashed = torch.tanh(c)
    h = o * squashed
    return [h, c], [h, c, i, f, g, o, squashed]


def _lstm_backward_step(carried: Tensors, own: Tensors, shared: Tensors) -> tuple[Tensors, Tensors]:
    grad, through, slopes, forget, *grad_cells = own
    dh = carried[0] + grad
    dc = carried[1] + dh * through if not grad_cells else carried[1] + grad_cells[0] + dh * through
    step = torch.cat([dc, dc, dc, dh], 1) * slopes
    return [step @ shared[0], dc * forget], [step]


def _gru_step(carried: Tensors, own: Tensors, shared: Tensors) -> tuple[Tensors, Tensors]:
    steps, hidden = own[0].chunk(3, 1), (carried[0] @ shared[0] + shared[1]).chunk(3, 1)
    r, z = torch.sigmoid(steps[0] + hidden[0]), torch.sigmoid(steps[1] + hidden[1])
    n = torch.tanh(steps[2] + r * hidden[2])
    h = n + z * (carried[0] - n)
    return [h], [h, r, z, n, hidden[2]]


def _gru_backward_step(carried: Tensors, own: Tensors, shared: Tensors) -> tuple[Tensors, Tensors]:
    grad, slopes, keep = own
    dh = carried[0] + grad
    return [dh * keep + (torch.cat([dh, dh, dh], 1) * slopes) @ shared[0]], [dh]


def _elman_step(carried: Tensors, own: Tensors, shared: Tensors, *, squash: Callable[[Tensor], Tensor]) -> Any:
    h = squash(own[0] + carried[0] @ shared[0])
    return [h], [h]


def _elman_backward_step(carried: Tensors, own: Tensors, shared: Tensors) -> tuple[Tensors, Tensors]:
    step = (carried[0] + own[0]) * own[1]
    return [step @ shared[0]], [step]


STEPS: dict[str, Step] = {
    "lstm": _lstm_step,
    "lstm_backward": _lstm_backward_step,
    "gru": _gru_step,
    "gru_backward": _gru_backward_step,
    "elman_tanh": partial(_elman_step, squash=torch.tanh),
    "elman_relu": partial(_elman_step, squash=torch.relu),
    "elman_backward": _elman_backward_step,
}


def one_by_one(name: str, carried: Tensors, own: Tensors, shared: Tensors, reverse: bool) -> Tensors:
    """The loop without a loop: every step's operators."""
    given = []
    count = own[0].shape[0]
    for t in reversed(range(count)) if reverse else range(count):
        carried, outputs = STEPS[name](carried, [value[t] for value in own], shared)
        given.append(outputs)
    return [*carried, *(torch.stack(each) for each in zip(*(given[::-1] if reverse else given), strict=True))]


def _lstm(loop: Loop, steps: Tensor, h: Tensor, c: Tensor, weight: Tensor) -> tuple[Tensor, ...]:
    return tuple(loop("lstm", [h, c], [steps], [weight.T], False)[2:])


def _lstm_backward(
    loop: Loop, grad: Tensor, grad_cells: Tensor | None, through: Tensor, slopes: Tensor, forget: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    own = [grad, through, slopes, forget] if grad_cells is None else [grad, through, slopes, forget, grad_cells]
    dh, dc, steps = loop("lstm_backward", [_zeros_like_step(grad), _zeros_like_step(grad)], own, [weight], True)
    return steps, dh, dc


def _gru(loop: Loop, steps: Tensor, h: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, ...]:
    return tuple(loop("gru", [h], [steps], [weight.T, bias], False)[1:])


def _gru_backward(loop: Loop, grad: Tensor, slopes: Tensor, keep: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    dh, totals = loop("gru_backward", [_zeros_like_step(grad)], [grad, slopes, keep], [weight], True)
    return totals, dh


def _elman(loop: Loop, steps: Tensor, h: Tensor, weight: Tensor, tanh: bool) -> Tensor:
    return loop("elman_tanh" if tanh else "elman_relu", [h], [steps], [weight.T], False)[1]


def _elman_backward(loop: Loop, grad: Tensor, slopes: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    dh, steps = loop("elman_backward", [_zeros_like_step(grad)], [grad, slopes], [weight], True)
    return steps, dh


def _zeros_like_step(steps: Tensor) -> Tensor:
    return torch.zeros_like(steps[0])


def _like_state(steps: Tensor, gates: int) -> Tensor:
    return steps.new_empty((*steps.shape[:2], steps.shape[2] // gates))


_FAKES: dict[Callable[..., Any], Callable[..., Any]] = {
    _lstm: lambda steps, h, c, weight: tuple(_like_state(steps, 4) for _ in range(7)),
    _lstm_backward: lambda grad, grad_cells, through, slopes, forget, weight: (
        torch.empty_like(slopes), torch.empty_like(grad[0]), torch.empty_like(grad[0]),
    ),
    _gru: lambda steps, h, weight, bias: tuple(_like_state(steps, 3) for _ in range(5)),
    _gru_backward: lambda grad, slopes, keep, weight: (torch.empty_like(grad), torch.empty_like(grad[0])),
    _elman: lambda steps, h, weight, tanh: torch.empty_like(steps),
    _elman_backward: lambda grad, slopes, weight: (torch.empty_like(grad), torch.empty_like(grad[0])),
}  # fmt: skip


_SCHEMAS = {
    _lstm: f"(Tensor steps, Tensor h, Tensor c, Tensor weight) -> ({', '.join(['Tensor'] * 7)})",
    _lstm_backward: (
        "(Tensor grad, Tensor? grad_cells, Tensor through, Tensor slopes, Tensor forget, Tensor weight)"
        " -> (Tensor, Tensor, Tensor)"
    ),
    _gru: f"(Tensor steps, Tensor h, Tensor weight, Tensor bias) -> ({', '.join(['Tensor'] * 5)})",
    _gru_backward: "(Tensor grad, Tensor slopes, Tensor keep, Tensor weight) -> (Tensor, Tensor)",
    _elman: "(Tensor steps, Tensor h, Tensor weight, bool tanh) -> Tensor",
    _elman_backward: "(Tensor grad, Tensor slopes, Tensor weight) -> (Tensor, Tensor)",
}


def _operator(function: Callable[..., Any]) -> Any:
    """`function` as torch.ops.fedrela.<its name>."""
    name, one = f"fedrela::{function.__name__.strip('_')}", partial(function, one_by_one)
    made = torch.library.custom_op(name, one, mutates_args=(), schema=_SCHEMAS[function])
    made.register_fake(_FAKES[function])
    return made._opoverload


lstm, lstm_backward = _operator(_lstm), _operator(_lstm_backward)
gru, gru_backward = _operator(_gru), _operator(_gru_backward)
elman, elman_backward = _operator(_elman), _operator(_elman_backward)


def apart(loop: Loop = one_by_one) -> dict[Any, Callable[..., Any]]:
    """Operator -> what it does with a loop of the runtime's; by default its steps one by one, where there is none."""
    return {
        lstm: partial(_lstm, loop),
        lstm_backward: partial(_lstm_backward, loop),
        gru: partial(_gru, loop),
        gru_backward: partial(_gru_backward, loop),
        elman: partial(_elman, loop),
        elman_backward: partial(_elman_backward, loop),
    }
