"""Every reference classifier as a bundle on both runtimes: exported, verified against eager PyTorch, page of results.

The forms are narrow, with as many layers as the full ones but for the transformer's depth, so that the tests stay
quick. The full ones are exported by `fedrela export export.models:resnet18 --input uint8:3x32x32 --runtime both ...`.
"""

from dataclasses import dataclass
from functools import partial

import pytest
import torch

from core import bundle
from export import export_classifier, models
from export.replay import RUNTIMES, available
from tests.export import layers_page


@dataclass(frozen=True)
class Model:
    """A row: how to build it and what it takes."""

    build: object
    input: str
    classes: int = 10


NARROW = (4, 4, 8, 8)
MODELS = {
    "Small CNN": Model(partial(models.small_cnn, widths=(4, 8), hidden=16), "uint8:1x8x8"),
    "ResNet-8 (GroupNorm)": Model(partial(models.resnet8, widths=(4, 4, 8)), "uint8:3x8x8"),
    "ResNet-8 (BatchNorm)": Model(partial(models.resnet8_batch_norm, widths=(4, 4, 8)), "uint8:3x8x8"),
    "ResNet-18 (BatchNorm)": Model(partial(models.resnet18, widths=NARROW), "uint8:3x8x8"),
    "ResNet-18 (GroupNorm)": Model(partial(models.resnet18_group_norm, widths=NARROW), "uint8:3x8x8"),
    "MobileNetV2 (small)": Model(partial(models.mobilenet, widths=NARROW, expansion=2), "uint8:3x8x8"),
    "Vision transformer (small)": Model(partial(models.small_vit, size=8, width=8, depth=2, heads=2), "uint8:3x8x8"),
    "LSTM over tokens": Model(partial(models.lstm, tokens=20, width=6), "int64:5:20", 4),
    "Tabular MLP": Model(partial(models.tabular_mlp, hidden=16), "float32:20", 5),
}


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("name", MODELS)
def test_model(name, runtime, tmp_path):
    torch.manual_seed(0)
    row = MODELS[name]
    done = export_classifier(
        row.build(), input=row.input, classes=row.classes, out=tmp_path / "bundle", runtimes=(runtime,), max_batch=8
    )
    opened = bundle.read(done.folder)
    assert available(opened) == (runtime,)
    (verdict,) = done.verdicts
    trained = {f"new.{spec.name}" for spec in opened.manifest.weights}
    assert trained <= {key.split(".", 2)[2] for key in verdict.steps}, "every weight and statistic was compared"
    assert done.largest_error <= 1e-4
    layers_page.record("models", MODELS, name, runtime, done.largest_error)


def test_every_model_of_the_page_was_measured_by_these_tests():
    results = layers_page.read("models")
    assert list(results) == list(MODELS)
    assert all(set(found) == set(RUNTIMES) for found in results.values())
