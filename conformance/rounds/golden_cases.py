"""A bundle whose golden steps a client can get wrong: AdamW, batch statistics, dropout, an output that isn't recorded.

The gradient of a bias before a BatchNorm is nothing but rounding, so the golden file leaves out what follows from it.
"""

import shutil
from pathlib import Path

import torch

from fedrela.conformance.files import PUBLISHER_KEY
from fedrela.export import export_classifier
from fedrela.export.models import tabular_mlp


def write(folder: Path) -> list[Path]:
    """Export the bundle; the paths written."""
    shutil.rmtree(folder, ignore_errors=True)
    torch.manual_seed(0)
    model = tabular_mlp(columns=6, classes=3, hidden=8)
    export_classifier(
        model,
        input="float32:6",
        classes=3,
        out=folder,
        runtimes=("onnx", "executorch"),
        optimizer="adamw",
        name="conformance-table",
        max_batch=8,
        private_key=PUBLISHER_KEY,
    )
    return sorted(folder.iterdir())
