"""What a model eats: raw tensors as a device holds them, and how they are normalized and augmented in the graph.

>>> parse("uint8:3x32x32")
RawInput(name='x', dtype='uint8', shape=(3, 32, 32), token_limit=0)
>>> parse("words=int64:50:1000").token_limit
1000
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fedrela.core.errors import InvalidInput
from fedrela.core.protocol.programs import TOTALS

DTYPES = {"uint8": torch.uint8, "int64": torch.int64, "int32": torch.int32, "float32": torch.float32}
_FORM = re.compile(r"^(?:(?P<name>[A-Za-z_][\w.]*)=)?(?P<dtype>\w+):(?P<shape>\d+(?:x\d+)*)(?::(?P<limit>\d+))?$")
_RESERVED = ("y", "sample_weight", "class_prior", "probabilities", *TOTALS, "new.", "anchor.", "dropout.")
NEUTRAL_UNIFORM = 0.5  # of every augmentation input: no shift, no flip


@dataclass(frozen=True)
class RawInput:
    """One input tensor (B, *shape). Integers other than uint8 are tokens below `token_limit`."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    token_limit: int = 0

    @property
    def is_image(self) -> bool:
        """uint8 (channels, height, width)."""
        return self.dtype == "uint8" and len(self.shape) == 3


@dataclass(frozen=True)
class Pipeline:
    """What happens to uint8 pixels before the model sees them: / 255, crop, flip, then (x - mean) / std per channel.

    `crop_padding` pixels of black are put around the image and a window of its own size is cut out at a random place;
    0: no crop. Random numbers are inputs of the program; all at 0.5 mean no shift and no flip.
    """

    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    crop_padding: int = 0
    flip: bool = False

    def randoms(self, raw: RawInput) -> dict[str, tuple[int | str, ...]]:
        """Names and shapes of the uniforms that augmenting `raw` needs."""
        prefix = "augment" if raw.name == "x" else f"augment.{raw.name}"
        crop: dict[str, tuple[int | str, ...]] = {f"{prefix}.crop": ("B", 2)} if self.crop_padding else {}
        return crop | ({f"{prefix}.flip": ("B",)} if self.flip else {}) if raw.is_image else {}

    def __call__(self, raw: RawInput, x: Tensor, randoms: dict[str, Tensor]) -> Tensor:
        """x (B, *shape) as the model takes it; float32, or int64 for tokens."""
        if raw.dtype == "float32":
            return x
        if raw.dtype != "uint8":
            return x.to(torch.int64)
        pixels = x.to(torch.float32) / 255.0
        if not raw.is_image:
            return pixels
        uniforms = [randoms[name] for name in self.randoms(raw)]
        if uniforms:
            pixels = self._augment(pixels, uniforms)
        if self.mean:
            pixels = (pixels - torch.tensor(self.mean)[:, None, None]) / torch.tensor(self.std)[:, None, None]
        return pixels

    def _augment(self, pixels: Tensor, uniforms: list[Tensor]) -> Tensor:
        """Crop and mirror each image with its own uniforms: one gather of columns and rows."""
        batch, channels, height, width = pixels.shape
        rows = torch.arange(height)[None, :]
        columns = torch.arange(width)[None, :]
        uniforms = list(uniforms)
        padding = self.crop_padding
        if padding:
            corner = torch.clamp((uniforms.pop(0) * (2 * padding + 1)).to(torch.int64), 0, 2 * padding)
            rows, shift = rows + corner[:, :1], corner[:, 1:]
            pixels = torch.nn.functional.pad(pixels, (padding, padding, padding, padding))
        else:
            shift = torch.zeros(1, 1, dtype=torch.int64)
        if self.flip:
            mirrored = (uniforms.pop(0) < NEUTRAL_UNIFORM)[:, None]
            columns = torch.where(mirrored, width - 1 - columns, columns)
        columns = columns + shift
        places = rows[:, :, None] * (width + 2 * padding) + columns[:, None, :]
        places = places.reshape(-1, 1, height * width).expand(batch, channels, height * width)
        flat = pixels.reshape(batch, channels, -1)
        return torch.gather(flat, 2, places).reshape(batch, channels, height, width)


def model_arguments(
    inputs: tuple[RawInput, ...], xs: Mapping[str, Tensor]
) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
    """A single input is passed by position, several by name."""
    if len(inputs) == 1:
        return (xs[inputs[0].name],), {}
    return (), {raw.name: xs[raw.name] for raw in inputs}


def parse(text: str) -> RawInput:
    """Read `[name=]dtype:AxBxC[:token_limit]`. Raises InvalidInput."""
    match = _FORM.match(text)
    if match is None or match["dtype"] not in DTYPES:
        raise InvalidInput(
            f"the input {text!r} is not understood",
            remedy="write dtype:shape, e.g. uint8:3x32x32, float32:20, int64:50:1000 (50 tokens below 1000), "
            "or name=dtype:shape",
        )
    limit = int(match["limit"] or 0)
    if match["dtype"].startswith("int") != bool(limit):
        raise InvalidInput(
            f"the input {text!r} has {'no' if not limit else 'a'} token limit",
            remedy="integer tokens need one (int64:50:1000), other inputs take none",
        )
    shape = tuple(int(size) for size in match["shape"].split("x"))
    if 0 in shape:
        raise InvalidInput(f"the input {text!r} has an empty dimension", remedy="use sizes of 1 or more")
    return RawInput(match["name"] or "x", match["dtype"], shape, limit)


def parse_all(texts: str | RawInput | list[str | RawInput] | tuple[str | RawInput, ...]) -> tuple[RawInput, ...]:
    """One or several inputs; several need names of their own. Raises InvalidInput."""
    listed = [texts] if isinstance(texts, str | RawInput) else list(texts)
    inputs = tuple(item if isinstance(item, RawInput) else parse(item) for item in listed)
    names = [item.name for item in inputs]
    if not inputs or len(set(names)) != len(names):
        raise InvalidInput(
            f"the inputs are named {names}", remedy="name each: --input image=uint8:3x8x8 --input age=float32:1"
        )
    refuse_names(inputs, _RESERVED)
    return inputs


def refuse_names(inputs: tuple[RawInput, ...], taken: Collection[str]) -> None:
    """Raise InvalidInput for an input called as something else in a program is; "new." stands for all that begin so."""
    for raw in inputs:
        for name in taken:
            if raw.name == name or (name.endswith(".") and raw.name.startswith(name)):
                meant = f"names that begin with {name!r}" if name.endswith(".") else repr(name)
                raise InvalidInput(
                    f"an input is named {raw.name!r}: the programs use {meant} themselves", remedy="rename it"
                )


def parse_augment(text: str, pipeline: Pipeline) -> Pipeline:
    """`crop`, `crop=4`, `flip` or both, separated by commas. Raises InvalidInput."""
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, _, value = part.partition("=")
        if name == "crop" and (not value or value.isdigit()):
            pipeline = replace(pipeline, crop_padding=int(value or 4))
        elif part == "flip":
            pipeline = replace(pipeline, flip=True)
        else:
            raise InvalidInput(
                f"the augmentation {part!r} is unknown", remedy="use crop, crop=PIXELS, flip, or crop,flip"
            )
    return pipeline
