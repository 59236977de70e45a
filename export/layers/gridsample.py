"""Sampling of feature maps at places that a model works out itself, as gathers whose gradient is a scatter.

Jaderberg et al., "Spatial Transformer Networks", NIPS 2015. A place (-1, -1) is the first corner, (1, 1) the last one:
the corner pixel's middle if corners are aligned, its outer edge if not.

    >>> x = torch.tensor([[[[1.0, 3.0]]]])
    >>> grid_sample(x, torch.zeros(1, 1, 1, 2), align_corners=True)
    tensor([[[[2.]]]])
"""

from itertools import product

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from fedrela.core.errors import UnsupportedOperation


def grid_sample(
    x: Tensor, grid: Tensor, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool | None = None
) -> Tensor:
    """x (B, C, H, W) at grid (B, M, N, 2) -> (B, C, M, N). Raises UnsupportedOperation for other modes."""
    if x.dim() != 4 or mode not in ("bilinear", "nearest") or padding_mode not in ("zeros", "border"):
        raise UnsupportedOperation(
            f"grid_sample with mode={mode!r}, padding_mode={padding_mode!r} on {x.dim()} dimensions",
            remedy='sample (B, C, H, W) with mode="bilinear" or "nearest" and padding_mode="zeros" or "border"',
        )
    column, row = (_place(grid[..., axis], x.shape[-1 - axis], padding_mode, align_corners) for axis in range(2))
    if mode == "nearest":
        # Places get a gradient of 0 from torch, not none: an optimizer still decays what made them.
        flat = 0 * (torch.sign(row) + torch.sign(column)).unsqueeze(1)
        return _at(x, torch.round(row), torch.round(column)) + flat
    above, left = torch.floor(row.detach()), torch.floor(column.detach())
    # Not 1 - |distance|: at a whole place, where an untrained spatial transformer samples, it has no slope.
    down, across = row - above, column - left
    sampled = None
    for lower, right in product((0, 1), repeat=2):
        share = (down if lower else 1 - down) * (across if right else 1 - across)
        part = _at(x, above + lower, left + right) * share.unsqueeze(1)
        sampled = part if sampled is None else sampled + part
    assert sampled is not None, "there are four corners"
    return sampled


def affine_grid(theta: Tensor, size: torch.Size, align_corners: bool | None = None) -> Tensor:
    """The places (B, H, W, 2) of theta (B, 2, 3) for maps of `size` (B, C, H, W)."""
    if len(size) != 4:
        raise UnsupportedOperation("affine_grid of volumes", remedy="use it for maps (B, C, H, W)")
    height, width = int(size[2]), int(size[3])
    with _disable_current_modes():  # a constant of the program, not a part of its graph
        rows, columns = (_even(length, bool(align_corners)) for length in (height, width))
        plane = (columns.expand(height, width), rows[:, None].expand(height, width), torch.ones(height, width))
        corners = torch.stack(plane, -1).reshape(height * width, 3)
    return torch.matmul(corners.to(theta.dtype), theta.transpose(1, 2)).reshape(-1, height, width, 2)


def _place(coordinate: Tensor, size: int, padding_mode: str, align_corners: bool | None) -> Tensor:
    """Where -1 to 1 lies among `size` pixels."""
    place = (coordinate + 1) * ((size - 1) / 2) if align_corners else ((coordinate + 1) * size - 1) / 2
    if padding_mode != "border":
        return place
    # A clamp alone has a slope at its bounds, where torch's has none.
    return torch.where((place > 0) & (place < size - 1), place, torch.clamp(place.detach(), 0, size - 1))


def _at(x: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """The pixels at whole places (B, M, N); 0 outside."""
    batch, channels, height, width = x.shape
    inside = (row >= 0) & (row <= height - 1) & (column >= 0) & (column <= width - 1)
    place = torch.clamp(row, 0, height - 1) * width + torch.clamp(column, 0, width - 1)
    flat = place.to(torch.int64).reshape(batch, 1, -1).expand(batch, channels, row.shape[1] * row.shape[2])
    pixels = torch.gather(x.reshape(batch, channels, height * width), 2, flat)
    return pixels.reshape(batch, channels, *row.shape[1:]) * inside.to(x.dtype).unsqueeze(1)


def _even(length: int, align_corners: bool) -> Tensor:
    """As many places from -1 to 1."""
    if length == 1:
        return torch.zeros(1)
    places = torch.linspace(-1, 1, length)
    return places if align_corners else places * ((length - 1) / length)
