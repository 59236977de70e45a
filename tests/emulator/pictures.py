"""Pictures of one's own, as somebody has them before there is a test part."""

from pathlib import Path

import numpy as np
from PIL import Image


def write(folder: Path, counts: tuple[int, ...]) -> None:
    """`folder/0`, `folder/1`, ... with so many gray 4x4 PNGs each."""
    rng = np.random.default_rng(0)
    for label, count in enumerate(counts):
        (folder / str(label)).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(0, 256, (4, 4), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / str(label) / f"{number}.png")
