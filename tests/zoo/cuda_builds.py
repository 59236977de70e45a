"""torchvision and torchaudio beside PyTorch's CPU build: PyPI's wheels are for CUDA, and their libraries don't load.

torchvision's import then ends at the two operators whose shapes it describes all the same, and torchaudio's where it
finds its library. No classifier uses either: the operators are declared, and the library isn't found.
"""

import importlib
import sys
from pathlib import Path
from unittest.mock import patch

import torch

_DECLARED: list[torch.library.Library] = []  # torch forgets an operator together with its library


def make_importable() -> None:
    """Make both importable, for packages that import them, too."""
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        _forget("torchvision")
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _DECLARED.append(library)
        importlib.import_module("torchvision")
    try:
        importlib.import_module("torchaudio")
    except OSError:
        _forget("torchaudio")
        with patch.object(Path, "glob", return_value=[]):
            importlib.import_module("torchaudio")


def _forget(package: str) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        del sys.modules[name]
