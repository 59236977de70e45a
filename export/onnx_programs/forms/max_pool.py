"""MaxPool and its gradient.

Asking ONNX Runtime's MaxPool for Indices leaves its fast kernel, so where windows don't overlap the gradient finds the
first maximum of each window by comparison instead, exactly as PyTorch does on ties: among the positions that equal
their window's maximum, the one with the largest place code (the earliest place has the largest code). Any other
pooling uses Indices and a scatter-add.

A ReLU below such a pooling changes places with it, values and gradients staying the same to the bit: the larger of two
numbers is also the larger after ReLU, and where a window holds nothing positive, ReLU lets no gradient through,
wherever in the window it is sent. So ReLU and its gradient work on one value per window.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from onnxscript import opset18 as op

from fedrela.export.onnx_programs.forms.masks import positive
from fedrela.export.onnx_programs.forms.values import (
    FLOAT,
    INT64,
    Value,
    enlarge,
    filled,
    floats,
    integers,
    producer,
    reshape,
    spatial_sizes,
    spread,
)

POOLED = "fedrela.export.onnx_programs.forms.max_pool"  # under this name a gradient remembers its pooling


@dataclass(frozen=True)
class Windows:
    """How pooling windows lie on a map of `sizes`: one entry per spatial axis."""

    sizes: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    counts: tuple[int, ...]  # how many windows

    @property
    def separate(self) -> bool:
        """No position is in two windows, and no window begins outside the map."""
        return self.kernel == self.stride and not any(self.padding) and set(self.dilation) == {1}

    @property
    def pad_ends(self) -> tuple[int, ...]:
        """How far the last window reaches over the end of the map."""
        axes = zip(self.sizes, self.kernel, self.stride, self.padding, self.dilation, self.counts, strict=True)
        return tuple(max(0, (n - 1) * s + (k - 1) * d + 1 - size - p) for size, k, s, p, d, n in axes)


@dataclass(frozen=True)
class Pooled:
    """How a pooling's gradient was made; the ReLU below it may make it again in a cheaper order."""

    grad: Value  # (N, C, windows...)
    maxima: Value  # likewise, of what was pooled, before any ReLU
    first: Value  # (N, C, covered...) 1 at each window's first maximum, else 0
    windows: Windows
    covered: tuple[int, ...]
    relu: ir.Node | None


def max_pool2d_with_indices(
    x: Value,
    kernel_size: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    ceil_mode: bool = False,
) -> tuple[Value, Value]:
    """aten.max_pool2d_with_indices. The indices are dead code unless something reads them."""
    windows = windows_of(x, kernel_size, stride, padding, dilation, ceil_mode)
    values, places = _max_pool(x, windows)
    if windows.separate and (relu := producer(x, "Relu")) is not None:
        values = op.Relu(_max_pool(relu.inputs[0], windows)[0])
    return values, _within_one_map(places, windows)


def max_pool2d_with_indices_backward(
    grad: Value,
    x: Value,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
    indices: Value,
) -> Value:
    """aten.max_pool2d_with_indices_backward."""
    windows = windows_of(x, kernel_size, stride, padding, dilation, ceil_mode)
    if windows.separate:
        return _by_comparison(grad, x, windows)
    return _by_scatter(grad, x, indices, windows)


def windows_of(
    x: Value,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
) -> Windows:
    """The windows of PyTorch's pooling on `x`."""
    sizes = spatial_sizes(x)
    rank = len(sizes)
    kernel = spread(kernel_size, rank)
    step = spread(stride, rank) if stride else kernel
    pad, reach = spread(padding, rank), spread(dilation, rank)
    counts = []
    for size, k, s, p, d in zip(sizes, kernel, step, pad, reach, strict=True):
        room = size + 2 * p - d * (k - 1) - 1
        count = (room + (s - 1 if ceil_mode else 0)) // s + 1
        counts.append(count - (1 if ceil_mode and (count - 1) * s >= size + p else 0))
    return Windows(sizes, kernel, step, pad, reach, tuple(counts))


def _max_pool(x: Value, windows: Windows) -> tuple[Value, Value]:
    """Values, and flat places in the whole tensor; padded explicitly where the operator itself would refuse to."""
    begins, ends = windows.padding, windows.pad_ends
    if _pads_itself(windows):
        x = op.Pad(x, integers([0, 0, *begins, 0, 0, *ends]), floats(float("-inf")))
        begins = ends = (0,) * len(begins)
    values, places = op.MaxPool(
        x, kernel_shape=windows.kernel, strides=windows.stride, dilations=windows.dilation, pads=[*begins, *ends]
    )
    return values, places


def _pads_itself(windows: Windows) -> bool:
    return any(end >= k for end, k in zip(windows.pad_ends, windows.kernel, strict=True))


def _within_one_map(places: Value, windows: Windows) -> Value:
    """Places in the whole tensor as PyTorch counts them: within one channel's map."""
    height, width = windows.sizes
    if not _pads_itself(windows):
        return op.Mod(places, integers([height * width]))
    (top, left), (bottom, right) = windows.padding, windows.pad_ends
    wide = left + width + right
    place = op.Mod(places, integers([(top + height + bottom) * wide]))
    row, column = op.Div(place, integers([wide])), op.Mod(place, integers([wide]))
    return op.Add(op.Mul(op.Sub(row, integers([top])), integers([width])), op.Sub(column, integers([left])))


def through_relu(grad: Value, y: Value) -> Value | None:
    """The gradient of the ReLU that made `y`, if `grad` is the gradient of a pooling of `y` and nothing else: masked
    before it is spread over the windows. None otherwise.
    """
    pooled: Pooled | None = grad.meta.get(POOLED)
    if pooled is None or pooled.relu is None or pooled.relu is not producer(y, "Relu"):
        return None
    return _spread(op.Mul(pooled.grad, positive(pooled.maxima)), pooled)


def _by_comparison(grad: Value, x: Value, windows: Windows) -> Value:
    """Gradient goes to the first maximum of every window: one multiplication by a 0/1 mask."""
    relu = producer(x, "Relu")
    x = x if relu is None else relu.inputs[0]
    covered = tuple(min(s, n * k) for s, n, k in zip(windows.sizes, windows.counts, windows.kernel, strict=True))
    inside = x if covered == windows.sizes else op.Slice(x, integers([0, 0]), integers(covered), integers([2, 3]))
    maxima, _ = _max_pool(x, windows)
    equal = op.Cast(op.Equal(inside, _over_windows(maxima, windows, covered)), to=FLOAT)
    codes = op.Mul(equal, floats(_place_codes(windows.kernel, covered)))
    largest, _ = _max_pool(codes, windows)
    first = op.Cast(op.Equal(codes, _over_windows(largest, windows, covered)), to=FLOAT)
    pooled = Pooled(grad, maxima, first, windows, covered, relu)
    result = _spread(grad, pooled)
    result.meta[POOLED] = pooled
    return result


def _spread(grad: Value, pooled: Pooled) -> Value:
    """One gradient per window, at its window's first maximum."""
    result = op.Mul(pooled.first, _over_windows(grad, pooled.windows, pooled.covered))
    rest = [s - c for s, c in zip(pooled.windows.sizes, pooled.covered, strict=True)]
    return op.Pad(result, integers([0, 0, 0, 0, 0, 0, *rest]), floats(0.0)) if any(rest) else result


def _place_codes(kernel: Sequence[int], sizes: Sequence[int]) -> np.ndarray:
    """k*k .. 1 in every window, row by row; shape (1, 1, *sizes)."""
    codes = np.arange(int(np.prod(kernel)), 0, -1).reshape(kernel)
    repeats = [-(-s // k) for s, k in zip(sizes, kernel, strict=True)]
    tiled = np.tile(codes, repeats)[tuple(slice(s) for s in sizes)]
    return tiled[None, None]


def _over_windows(values: Value, windows: Windows, covered: Sequence[int]) -> Value:
    """One value per window, at each of the window's positions."""
    spread_out = enlarge(values, windows.kernel)
    if all(n * k == c for n, k, c in zip(windows.counts, windows.kernel, covered, strict=True)):
        return spread_out
    return op.Slice(spread_out, integers([0, 0]), integers(covered), integers([2, 3]))


def _by_scatter(grad: Value, x: Value, indices: Value, windows: Windows) -> Value:
    """Any windows: add every gradient at the place its maximum came from."""
    positions, outputs = int(np.prod(windows.sizes)), int(np.prod(windows.counts))
    maps = op.Shape(reshape(x, -1, positions), start=0, end=1)
    zeros = filled(0.0, maps, positions)
    places = reshape(op.Cast(indices, to=INT64), -1, outputs)
    added = op.ScatterElements(zeros, places, reshape(grad, -1, outputs), axis=1, reduction="add")
    return op.Reshape(added, op.Shape(x))
