"""A global model that predicts no numbers is trained by nobody, labels nothing, and stops its task."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from fedrela.conformance.files import PUBLISHER_KEY
from fedrela.core import bundle
from fedrela.core.bundle import Bundle
from fedrela.core.task import Relabel
from fedrela.core.tensors import Array, Params
from fedrela.edge.engines.onnx_engine import OnnxEngine
from fedrela.edge.storage import state
from tests.edge.conftest import some_examples
from tests.edge.live import LiveCoordinator, device, small_task


def test_a_model_that_predicts_no_numbers_is_reported_before_anything_is_trained_and_two_devices_pause_the_task(
    live: LiveCoordinator, small_bundle: Bundle, tmp_path: Path
) -> None:
    """Its publisher or an earlier coordinator let it through; nothing said so."""
    folder = tmp_path / "broken"
    shutil.copytree(small_bundle.folder, folder)
    weights = small_bundle.weights | {"w": np.full_like(small_bundle.weights["w"], 3e38)}
    bundle.write(folder, small_bundle.manifest, weights, private_key=PUBLISHER_KEY)
    task_id = live.publish(bundle.read(folder), small_task(relabel=Relabel(start=1)))
    seen: list[str] = []
    for number in (1, 2):
        client = device(live, number, some_examples(), on_event=lambda event: seen.append(event.kind))
        outcome = client.run_once()
        assert (outcome.kind, outcome.reason) == ("dropped", "model-unusable")
        assert state.load_overlay(client.store, task_id) is None
    assert not {"relabeled", "step", "trained"} & set(seen)
    shown = live.admin.get(f"/tasks/{task_id}")
    assert shown["status"] == "paused"
    assert "round 1" in shown["problem"]


def test_predictions_that_are_no_numbers_relabel_nothing(
    live: LiveCoordinator, small_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Golden inputs may be predicted where a device's own are too large for the model."""
    task_id = live.publish(small_bundle, small_task(relabel=Relabel(start=1)))
    client = device(live, 1, some_examples())
    predict = OnnxEngine.predict

    def too_large(engine: OnnxEngine, weights: Params, x: Mapping[str, Array], randoms: Mapping[str, Array]) -> Array:
        probabilities = predict(engine, weights, x, randoms)
        return np.full_like(probabilities, np.nan) if len(x["x"]) == len(some_examples()) else probabilities

    monkeypatch.setattr(OnnxEngine, "predict", too_large)
    outcome = client.run_once()
    assert (outcome.kind, outcome.reason) == ("dropped", "training-failed")
    assert state.load_overlay(client.store, task_id) is None
