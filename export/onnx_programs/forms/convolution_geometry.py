"""How a convolution's kernel slides, per spatial axis.

>>> Geometry((3, 3), (1, 1), (1, 1), (2, 2), 1).mirrored.padding
(3, 3)
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fedrela.export.onnx_programs.forms.values import Value, spatial_sizes, spread


@dataclass(frozen=True)
class Geometry:
    """One entry per spatial axis."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int

    @property
    def pointwise(self) -> bool:
        """Every output sees one input position, and no position is padding."""
        return set(self.kernel) == {1} and not any(self.padding)

    @property
    def unit_stride(self) -> bool:
        """Neighboring outputs see neighboring inputs."""
        return set(self.stride) == {1}

    @property
    def reversible(self) -> bool:
        """The opposite operator (Conv for ConvTranspose) can do the same with the kernel mirrored."""
        return self.unit_stride and min(self.mirrored.padding) >= 0

    @property
    def mirrored(self) -> "Geometry":
        """The geometry of the opposite operator."""
        axes = zip(self.kernel, self.padding, self.dilation, strict=True)
        return replace(self, padding=tuple(d * (k - 1) - p for k, p, d in axes))

    @property
    def pads(self) -> list[int]:
        """ONNX order: all begins, then all ends."""
        return [*self.padding, *self.padding]


def geometry(
    weight: Value, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int], groups: int
) -> Geometry:
    """The geometry of a convolution with `weight`."""
    kernel = spatial_sizes(weight)
    rank = len(kernel)
    return Geometry(kernel, spread(stride, rank), spread(padding, rank), spread(dilation, rank), int(groups))
