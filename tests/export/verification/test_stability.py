"""Data on which rounding decides are found, and the exporter keeps away from them."""

import numpy as np
import pytest
import torch
from torch import nn

from fedrela.core import golden
from fedrela.export import export_classifier
from fedrela.export.classifier import gather
from fedrela.export.recipe import Recipe
from fedrela.export.tracing.model_analysis import analyze
from fedrela.export.verification import stability
from fedrela.export.verification.reference import Reference


@pytest.fixture(scope="module")
def kinked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Reference, dict, object]:
    """Two numbers to two classes through a ReLU: exact reference, one example's inputs, manifest."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 2, bias=False))
    folder = tmp_path_factory.mktemp("kinked") / "bundle"
    done = export_classifier(model, input="float32:2", classes=2, out=folder)
    recipe: Recipe = gather(input="float32:2", classes=2)
    exact = Reference(model, recipe, analyze(model, recipe), done.manifest, torch.float64)
    given = golden.inputs(done.manifest, "train_step", 0)
    given["x"] = np.ones_like(given["x"])
    given["2.weight"] = np.array([[1.0, 2.0], [-1.0, 1.0]], np.float32)
    return exact, given, done.manifest


@pytest.mark.parametrize(("weight", "discontinuous"), [([1.0, -1.0], True), ([1.0, -0.9], False)])
def test_a_unit_at_its_kink_is_found(kinked: tuple, weight: list[float], discontinuous: bool) -> None:
    exact, given, manifest = kinked  # the first hidden unit is 1 - 1 = 0, where ReLU has its kink, or 0.1
    given = given | {"0.weight": np.array([weight, [1.0, 1.0]], np.float32)}
    magnitudes = stability.response(manifest, exact.train_step, given, exact.train_step(given)).discontinuities
    assert ("new.0.weight" in magnitudes) == discontinuous
    assert discontinuous or not magnitudes


def test_golden_steps_are_ones_that_float32_decides(kinked: tuple) -> None:
    exact, _, manifest = kinked
    runs = (exact.train_step, exact.predict, exact.relabel)
    truth = golden.run(manifest, *runs)
    assert not stability.golden_discontinuities(manifest, truth, runs)
