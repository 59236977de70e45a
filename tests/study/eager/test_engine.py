"""PyTorch as an engine: what it computes is what the bundle's programs compute, and a fleet is trained by it."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from fedrela.core.bundle import Bundle
from fedrela.core.errors import InvalidBundle
from fedrela.core.tensors import Array
from fedrela.edge.engines.engine import Batch
from fedrela.edge.engines.pool import self_test
from fedrela.study.config import Model, Study, Training
from fedrela.study.eager.engine import EagerEngine
from fedrela.study.eager.opening import opened
from fedrela.study.runs import bundles, fleet
from fedrela.study.runs.cells import Cell, expand
from fedrela.study.runs.tasks import trunk_task
from tests.study.loop import scene

MODEL = Model(augment=("crop", "flip"))
STUDY = Study("s", seeds=(1,), methods=("fedprox",), model=MODEL, training=Training(epochs=1), setting=(scene.SETTING,))
CELL: Cell = next(expand(STUDY, "d"))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Of a method with anchors, and a model with random inputs."""
    return bundles.exported(CELL, 10, tmp_path_factory.mktemp("bundles"))


@pytest.fixture(scope="module")
def engine(bundle: Bundle) -> EagerEngine:
    """On the one device that every machine has."""
    return opened(CELL, bundle, "cpu")


def batches(engine: EagerEngine, count: int) -> list[Batch]:
    """Of four samples, with all that this program takes."""
    rng = np.random.default_rng(0)
    randoms = {
        item.name: rng.random(tuple(4 if size == "B" else int(size) for size in item.shape), dtype=np.float32)
        for item in engine.manifest.train_step.role("random")
    }
    pixels = rng.integers(0, 256, (count, 4, 1, 8, 8), dtype=np.uint8)
    weight, labels = np.array([1, 1, 1, 0], np.float32), rng.integers(0, 10, (count, 4))
    rates = dict(engine.manifest.hyperparameters or {})
    return [Batch({"x": x}, y, weight, rates, randoms) for x, y in zip(pixels, labels, strict=True)]


def test_it_passes_the_golden_steps_of_the_bundle(bundle: Bundle, engine: EagerEngine) -> None:
    self_test(engine, (bundle.folder / bundle.manifest.golden.path).read_bytes())


def test_steps_are_those_of_the_programs_one_by_one_and_together(bundle: Bundle, engine: EagerEngine) -> None:
    programs, fed = fleet.engine(bundle), batches(engine, 3)
    theirs, ours, together = (each.start(dict(bundle.weights)) for each in (programs, engine, engine))
    expected = [programs.train_step(theirs, batch) for batch in fed]
    one_by_one = [engine.train_step(ours, batch) for batch in fed]
    assert engine.train_steps(together, iter(fed), most=3) == one_by_one
    for mine, its in zip(one_by_one, expected, strict=True):
        assert dataclasses.astuple(mine) == pytest.approx(dataclasses.astuple(its), rel=1e-5)
    for name, value in programs.weights(theirs).items():
        np.testing.assert_allclose(engine.weights(ours)[name], value, atol=1e-5)
        np.testing.assert_array_equal(engine.weights(together)[name], engine.weights(ours)[name])


def test_no_batch_is_drawn_that_is_not_trained_on(bundle: Bundle, engine: EagerEngine) -> None:
    state, fed = engine.start(dict(bundle.weights)), iter(batches(engine, 5))
    assert len(engine.train_steps(state, fed, most=2)) == 2
    assert len(list(fed)) == 3


def test_a_state_goes_on_from_its_snapshot_to_the_bit(bundle: Bundle, engine: EagerEngine) -> None:
    weights, fed = dict(bundle.weights), batches(engine, 4)
    state = engine.start(weights)
    engine.train_steps(state, iter(fed[:2]), most=2)
    again = engine.restore(weights, engine.snapshot(state))
    for each in (state, again):
        engine.train_steps(each, iter(fed[2:]), most=2)
    assert _equal(engine.snapshot(state), engine.snapshot(again))
    assert _equal(weights, dict(bundle.weights))  # nothing of the caller's is written


def test_labels_are_those_of_the_programs(bundle: Bundle, engine: EagerEngine) -> None:
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(60, 10)), np.sort(rng.integers(0, 10, 60))
    shares = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).astype(np.float32)
    given = (shares, labels, rng.random((60, 10), dtype=np.float32), 30.0)
    found = engine.relabel(*given)
    assert (found != labels).any()
    np.testing.assert_array_equal(found, fleet.engine(bundle).relabel(*given))


def test_a_fleet_that_it_trains_ends_where_the_programs_end(bundle: Bundle, engine: EagerEngine) -> None:
    held = scene.shards()
    task = trunk_task(CELL, 2, held)
    ends = [
        fleet.train(bundle, task, held, scene.DATASET, frozenset({2}), runner=runner).weights[2]
        for runner in (None, engine)
    ]
    for name, value in ends[0].items():
        np.testing.assert_allclose(ends[1][name], value, atol=1e-4)


def test_a_bundle_of_another_method_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    other = dataclasses.replace(CELL, method="fedavg")
    with pytest.raises(InvalidBundle, match="train_step of the bundle takes or gives something else"):
        opened(other, bundle, "cpu")


def _equal(a: dict[str, Array], b: dict[str, Array]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)
