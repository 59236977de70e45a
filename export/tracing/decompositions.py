"""Backward operators taken apart into forward ones, right for every shape: the fallback of every runtime.

A runtime with a faster form of its own keeps the operator whole (see `fedrela.export.tracing.trace`).

    >>> import torch
    >>> x, w, dy = torch.randn(2, 3, 8, 8), torch.randn(4, 3, 3, 3), torch.randn(2, 4, 8, 8)
    >>> arguments = ([4], [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [True, True, True])
    >>> ours = convolution_backward(dy, x, w, *arguments)
    >>> theirs = torch.ops.aten.convolution_backward(dy, x, w, *arguments)
    >>> all(torch.allclose(a, b, atol=1e-4) for a, b in zip(ours, theirs))
    True
"""

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import torch
from torch import Tensor

from fedrela.export.layers import recurrence_operators

aten = torch.ops.aten


def convolution_backward(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    bias_sizes: Sequence[int] | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    mask: Sequence[bool],
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Gradients of a convolution with respect to x, weight and bias; None where `mask` doesn't ask for one."""
    spatial = tuple(range(2, x.dim()))
    grad_x = grad_weight = grad_bias = None
    if mask[0]:
        grad_x = _grad_input(grad, x, weight, stride, padding, dilation, transposed, groups)
    if mask[1]:
        long, short = (grad, x) if transposed else (x, grad)
        grad_weight = _grad_weight(long, short, weight, stride, padding, dilation, groups)
    if mask[2]:
        grad_bias = grad.sum((0, *spatial))
    return grad_x, grad_weight, grad_bias


def _grad_input(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    groups: int,
) -> Tensor:
    """The transposed convolution of a convolution, and the other way round."""
    spatial = range(x.dim() - 2)
    none = [0] * len(spatial)
    if transposed:
        forward: Tensor = aten.convolution(grad, weight, None, stride, padding, dilation, False, none, groups)
        return forward
    reach = [
        (grad.shape[2 + d] - 1) * stride[d] - 2 * padding[d] + dilation[d] * (weight.shape[2 + d] - 1) + 1
        for d in spatial
    ]
    surplus = [x.shape[2 + d] - reach[d] for d in spatial]
    transpose: Tensor = aten.convolution(grad, weight, None, stride, padding, dilation, True, surplus, groups)
    return transpose


def _grad_weight(
    long: Tensor,
    short: Tensor,
    weight: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    """One matrix product per kernel offset. `short` slides over `long`: (B, S, l...) over (B, L, ...)."""
    spatial = range(long.dim() - 2)
    extent = [(short.shape[2 + d] - 1) * stride[d] + dilation[d] * (weight.shape[2 + d] - 1) + 1 for d in spatial]
    pads: list[int] = []
    for d in reversed(spatial):
        pads += [padding[d], max(0, extent[d] - long.shape[2 + d] - padding[d])]
    padded = aten.constant_pad_nd(long, pads, 0.0) if any(pads) else long
    batch = long.shape[0]
    left = short.reshape(batch, groups, short.shape[1] // groups, -1)
    offsets = []
    for offset in product(*(range(weight.shape[2 + d]) for d in spatial)):
        window = padded
        for d, start in enumerate(offset):
            first = start * dilation[d]
            last = first + (short.shape[2 + d] - 1) * stride[d] + 1
            window = aten.slice(window, 2 + d, first, last, stride[d])
        right = window.reshape(batch, groups, long.shape[1] // groups, -1)
        offsets.append(torch.matmul(left, right.transpose(2, 3)).sum(0))
    stacked = torch.stack(offsets, dim=-1)
    return stacked.reshape(weight.shape)


def avg_pool2d_backward(
    grad: Tensor,
    x: Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Tensor:
    """Every output's gradient, divided by its window's count, goes to all of its window."""
    kernel, padding = _pair(kernel_size), _pair(padding)
    stride = _pair(stride) if stride else kernel
    height, width = x.shape[-2:]
    if ceil_mode or not (count_include_pad or divisor_override or not any(padding)):
        counts: Tensor | float = _window_counts(grad, x, kernel, stride, padding, count_include_pad, divisor_override)
    else:
        counts = float(divisor_override or kernel[0] * kernel[1])
    channels = grad.shape[-3]
    shares = (grad / counts).reshape(-1, channels, *grad.shape[-2:])
    ones = torch.ones(channels, 1, *kernel, dtype=grad.dtype)
    spread = aten.convolution(shares, ones, None, stride, (0, 0), (1, 1), True, (0, 0), channels)
    right = [height + padding[0] - spread.shape[-2], width + padding[1] - spread.shape[-1]]
    wide = aten.constant_pad_nd(spread, [0, max(0, right[1]), 0, max(0, right[0])], 0.0)
    cut = aten.slice(wide, 2, padding[0], padding[0] + height)
    result: Tensor = aten.slice(cut, 3, padding[1], padding[1] + width).reshape(x.shape)
    return result


def _window_counts(
    grad: Tensor,
    x: Tensor,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    include_pad: bool,
    divisor: int | None,
) -> Tensor:
    """What each output was divided by, shape (rows, columns) of the output."""
    if divisor:
        return torch.full(grad.shape[-2:], float(divisor))
    axes = []
    for d in range(2):
        size, low, high = int(x.shape[-2 + d]), -padding[d] * include_pad, padding[d] * include_pad
        starts = [i * stride[d] - padding[d] for i in range(int(grad.shape[-2 + d]))]
        axes.append(torch.tensor([float(min(s + kernel[d], size + high) - max(s, low)) for s in starts]))
    return axes[0][:, None] * axes[1][None, :]


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
    sizes = [value] if isinstance(value, int) else list(value)
    return (sizes[0], sizes[-1])


def empty_permuted(size: Sequence[int], physical_layout: Sequence[int], **options: Any) -> Tensor:
    """Memory that is about to be overwritten: zeros."""
    return torch.zeros(tuple(size), dtype=options.get("dtype"))


def table() -> dict[Any, Callable[..., Any]]:
    """Operator -> decomposition, for `fedrela.export.tracing.trace`."""
    return {
        aten.convolution_backward.default: convolution_backward,
        aten.avg_pool2d_backward.default: avg_pool2d_backward,
        aten.empty_permuted.default: empty_permuted,
        **recurrence_operators.apart(),
    }
