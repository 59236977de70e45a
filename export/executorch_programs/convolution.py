"""Convolution and its gradients as strided copies and matrix products: the form ExecuTorch's kernels run fast.

ExecuTorch's own convolution kernels are plain loops. Here every convolution, one- to three-dimensional, strided,
padded, dilated, grouped, depthwise or transposed, gathers its windows with one strided copy and multiplies once. The
gradient of a strided convolution's input is split into stride-1 convolutions, one per residue of the output position,
so that no zeros are multiplied.

Shapes below: x (B, C, h...), weight (O, C/groups, k...), y (B, O, l...); "rows" means B * product of positions.

    >>> import torch
    >>> x, w = torch.randn(2, 3, 8, 8), torch.randn(4, 3, 3, 3)
    >>> ours = convolution(x, w, None, [2, 2], [1, 1], [1, 1], False, [0, 0], 1)
    >>> torch.allclose(ours, torch.conv2d(x, w, stride=2, padding=1), atol=1e-5)
    True
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import gcd, prod

import torch
from torch import Tensor

from fedrela.export.executorch_programs import depthwise, windows
from fedrela.export.executorch_programs.strides import channel_sums, pad, reorder

Sizes = Sequence[int]


def convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    transposed: bool,
    output_padding: Sizes,
    groups: int,
) -> Tensor:
    """aten.convolution, batched."""
    stride, padding, dilation, output_padding = _for_each(x.dim() - 2, stride, padding, dilation, output_padding)
    if transposed:
        size = [
            (x.shape[2 + d] - 1) * s - 2 * p + r * (weight.shape[2 + d] - 1) + o + 1
            for d, (s, p, r, o) in enumerate(zip(stride, padding, dilation, output_padding, strict=True))
        ]
        y = input_gradient(x, weight, size, stride, padding, dilation, groups)
    else:
        count = _positions(x.shape[2:], weight.shape[2:], stride, padding, dilation)
        y = _forward(x, weight, count, stride, padding, dilation, groups)
    return y if bias is None else y + bias.reshape(1, -1, *[1] * (x.dim() - 2))


def convolution_backward(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    bias_sizes: Sizes | None,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    transposed: bool,
    output_padding: Sizes,
    groups: int,
    mask: Sequence[bool],
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """aten.convolution_backward: gradients of x, weight and bias; None where `mask` doesn't ask for one."""
    grad_x = grad_weight = grad_bias = None
    stride, padding, dilation = _for_each(x.dim() - 2, stride, padding, dilation)
    if mask[0]:
        if transposed:
            grad_x = _forward(grad, weight, x.shape[2:], stride, padding, dilation, groups)
        else:
            grad_x = input_gradient(grad, weight, x.shape[2:], stride, padding, dilation, groups)
    if mask[1]:
        slid, over = (x, grad) if transposed else (grad, x)
        grad_weight = _weight_gradient(slid, over, weight, stride, padding, dilation, groups)
    if mask[2]:
        grad_bias = channel_sums(grad)
    return grad_x, grad_weight, grad_bias


def input_gradient(
    grad: Tensor, weight: Tensor, size: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int
) -> Tensor:
    """Sum over o, i of grad[b, o, l] weight[o, c, i] where l * stride - padding + i * dilation is the position.

    grad (B, O, l...) to (B, C, size...). Positions with the same residue modulo the stride meet the same kernel
    offsets, so each residue is a convolution of stride 1 over a part of the kernel.
    """
    if depthwise.suits(weight, groups, size[-1], grad.shape[-1]):
        return depthwise.input_gradient(grad, weight, size, stride, padding, dilation)
    axes = [
        _residues(size[d], stride[d], padding[d], dilation[d], weight.shape[2 + d], grad.shape[2 + d])
        for d in range(len(size))
    ]
    left = [max(0, *(-part.start for part in axis)) for axis in axes]
    right = [max(0, *(part.end - grad.shape[2 + d] for part in axis)) for d, axis in enumerate(axes)]
    padded = pad(grad, left, right)
    parts = [_residue(padded, weight, parts, left, groups) for parts in product(*axes)]
    if len(parts) == 1:
        return parts[0]
    return _interleave(parts, [len(axis) for axis in axes], size)


@dataclass(frozen=True)
class _Residue:
    """One residue of one axis: `taps` kernel offsets, the last first, over grad[start + step * tap + position]."""

    first_tap: int
    tap_step: int
    taps: int
    start: int  # position in grad that the last kernel offset meets at output 0; may be negative
    step: int  # distance in grad between neighboring offsets
    count: int  # output positions
    end: int  # one past the last position in grad that is read


def _residues(size: int, stride: int, padding: int, dilation: int, kernel: int, grad_size: int) -> list[_Residue]:
    count = -(-size // stride)
    common = gcd(stride, dilation)
    residues = []
    for residue in range(stride):
        taps = [i for i in range(kernel) if (residue + padding - dilation * i) % stride == 0]
        if not taps:
            residues.append(_Residue(0, 1, 0, 0, 1, count, 0))
            continue
        start = (residue + padding - dilation * taps[-1]) // stride
        step = dilation // common
        end = start + step * (len(taps) - 1) + count
        residues.append(_Residue(taps[0], stride // common, len(taps), start, step, count, end))
    return residues


def _residue(padded: Tensor, weight: Tensor, parts: Sequence[_Residue], left: Sizes, groups: int) -> Tensor:
    """One stride-1 convolution over part of the kernel: (B, C, count...)."""
    out_channels, in_channels = weight.shape[0], weight.shape[1] * groups
    counts = [part.count for part in parts]
    if not all(part.taps for part in parts):
        return torch.zeros((padded.shape[0], in_channels, *counts), dtype=padded.dtype)
    grouped = weight.reshape(groups, out_channels // groups, weight.shape[1], prod(weight.shape[2:]))
    taps = [part.taps for part in parts]
    if prod(weight.shape[2:]) > 1:
        mirrored = torch.mm(grouped.reshape(-1, grouped.shape[3]), _mirror(parts, weight))
        grouped = mirrored.reshape(*grouped.shape[:3], prod(taps))
    offset = [left[d] + part.start for d, part in enumerate(parts)]
    dilation = [part.step for part in parts]
    return windows.times(padded, reorder(grouped, (0, 2, 1, 3)), taps, counts, [1] * len(parts), dilation, offset)


def _mirror(parts: Sequence[_Residue], weight: Tensor) -> Tensor:
    """(offsets of weight (O, C, k...), those that the parts meet, the last first): 1 where they are the same, else 0.

    A product with it reverses many kernels far faster than `flip`, which goes element by element.
    """
    whole = torch.ones((1, 1), dtype=weight.dtype)
    for part, size in zip(parts, weight.shape[2:], strict=True):
        met = (part.first_tap + part.tap_step * (part.taps - 1 - torch.arange(part.taps))).reshape(1, -1)
        axis = (torch.arange(size).reshape(-1, 1) == met).to(whole.dtype)
        pairs = whole.reshape(whole.shape[0], 1, whole.shape[1], 1) * axis.reshape(1, size, 1, part.taps)
        whole = pairs.reshape(whole.shape[0] * size, whole.shape[1] * part.taps)
    return whole


def _interleave(parts: Sequence[Tensor], strides: Sizes, size: Sizes) -> Tensor:
    """Residue tensors (B, C, count...), the last axis' residue fastest, as one (B, C, size...)."""
    batch, channels, *counts = parts[0].shape
    rank = len(counts)
    stacked = torch.cat([part.unsqueeze(0) for part in parts]).reshape(*strides, batch, channels, *counts)
    order = [rank, rank + 1]
    for d in range(rank):
        order += [rank + 2 + d, d]
    whole = reorder(stacked, order).reshape(
        batch, channels, *(count * stride for count, stride in zip(counts, strides, strict=True))
    )
    for d in range(rank):
        if whole.shape[2 + d] != size[d]:
            whole = torch.ops.aten.slice.Tensor(whole, 2 + d, 0, size[d])
    return whole


def _forward(
    x: Tensor, weight: Tensor, count: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int
) -> Tensor:
    if depthwise.suits(weight, groups, x.shape[-1], count[-1]):
        return depthwise.forward(x, weight, count, stride, padding, dilation)
    kernel, out_channels = weight.shape[2:], weight.shape[0]
    grouped = weight.reshape(groups, out_channels // groups, weight.shape[1], prod(kernel))
    padded = pad(x, padding, padding)
    return windows.times(padded, grouped, kernel, count, stride, dilation, [0] * len(kernel))


def _weight_gradient(
    grad: Tensor, x: Tensor, weight: Tensor, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int
) -> Tensor:
    """(O, C/groups, k...) of grad (B, O, l...) sliding over x (B, C, h...)."""
    kernel = weight.shape[2:]
    if depthwise.suits(weight, groups, x.shape[-1], grad.shape[-1]):
        return depthwise.weight_gradient(grad, x, kernel, stride, padding, dilation)
    out_channels, in_channels = grad.shape[1], x.shape[1]
    count = grad.shape[2:]
    right = [
        max(padding[d], (count[d] - 1) * stride[d] + dilation[d] * (kernel[d] - 1) + 1 - padding[d] - x.shape[2 + d])
        for d in range(len(kernel))
    ]
    padded = pad(x, padding, right)
    summed = windows.correlated(grad, padded, kernel, stride, dilation, groups, [0] * len(kernel))
    return summed.reshape(out_channels, in_channels // groups, *kernel)


def _for_each(dimensions: int, *given: Sizes) -> list[Sizes]:
    """A single number holds for every dimension: `padding="valid"` gives one."""
    return [list(sizes) * dimensions if len(sizes) == 1 else sizes for sizes in given]


def _positions(size: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes) -> list[int]:
    return [(size[d] + 2 * padding[d] - dilation[d] * (kernel[d] - 1) - 1) // stride[d] + 1 for d in range(len(kernel))]
