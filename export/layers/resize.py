"""Resizing of feature maps as two small matrix products, whose backward is two more.

Nearest and bilinear interpolation are linear in each axis: out = R x C^T with constant R and C, which `torch` itself
gives: the rows of R are what it makes of the unit vectors.

    >>> import torch
    >>> interpolate(torch.tensor([[[[1.0, 2.0]]]]), scale_factor=2, mode="nearest")
    tensor([[[[1., 1., 2., 2.],
              [1., 1., 2., 2.]]]])
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from fedrela.core.errors import UnsupportedOperation

_INTERPOLATE = F.interpolate

_LINEAR = {"nearest": "nearest", "nearest-exact": "nearest-exact", "linear": "linear", "bilinear": "linear"}


def interpolate(
    x: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """`torch.nn.functional.interpolate` of x (B, C, L) or (B, C, H, W). Raises UnsupportedOperation for other modes."""
    if mode not in _LINEAR or antialias or x.dim() not in (3, 4):
        raise UnsupportedOperation(
            f"interpolate with mode={mode!r}, antialias={antialias} on {x.dim()} dimensions",
            remedy='use mode="nearest" or "bilinear" without antialias on (B, C, H, W)',
        )
    axes = x.dim() - 2
    sizes = _spread(size, axes)
    factors = _spread(scale_factor, axes)
    for axis in range(axes):
        matrix = _matrix(
            int(x.shape[2 + axis]),
            sizes[axis],
            factors[axis],
            _LINEAR[mode],
            align_corners,
            recompute_scale_factor,
        )
        x = torch.matmul(x, matrix.T) if axis == axes - 1 else torch.matmul(matrix, x)
    return x


def _spread(value: Any, axes: int) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value] * axes


def _matrix(length: int, size: Any, factor: Any, mode: str, align: Any, recompute: Any) -> Tensor:
    """(new length, length): the interpolation of one axis."""
    with _disable_current_modes():  # a constant of the program, not a part of its graph
        units = torch.eye(length)[None]  # (1, length channels, length places)
        return _INTERPOLATE(units, size, factor, mode, align, recompute)[0].T.contiguous()
