"""What version 0.1 kept by row is used where the data are the very same, and dropped aloud where they may not be."""

import itertools
from dataclasses import replace
from threading import Event as StopEvent

import numpy as np
import pytest

from fedrela.core.bundle import Bundle
from fedrela.core.task import Relabel
from fedrela.core.wire import Assignment
from fedrela.edge.conditions.eligibility import Conditions
from fedrela.edge.engines.onnx_engine import OnnxEngine
from fedrela.edge.network.fetch import Job
from fedrela.edge.owner.settings import DeviceSettings, Event
from fedrela.edge.storage import state
from fedrela.edge.storage.store import MemoryStore
from fedrela.edge.training import former, holdout
from fedrela.edge.training.examples import Examples, Overlay
from fedrela.edge.training.work import RoundWork
from tests.edge.conftest import some_examples
from tests.edge.live import small_task

SECRET, SHARE = b"s" * 32, 0.25
TASK = small_task(rounds=4, relabel=Relabel(start=1, threshold_percent=40.0))
LOADED = some_examples(60)
BY_ROW = Examples(LOADED.x, LOADED.y, np.arange(60))  # as version 0.1 named them


def with_rows_in_front(examples: Examples, count: int) -> Examples:
    more = some_examples(count, seed=9)
    return Examples({"x": np.concatenate([more.x["x"], examples.x["x"]])}, np.concatenate([more.y, examples.y]))


class Device:
    """A device's work on round 2 of the task, over what its store holds."""

    def __init__(self, engine: OnnxEngine, bundle: Bundle, store: MemoryStore, fingerprint: str = "") -> None:
        self.engine, self.bundle, self.store, self.events = engine, bundle, store, list[Event]()
        assignment = Assignment("a", "task", 2, *("0" * 64,) * 3, 1, 1000.0, 1000.0, "token")
        self.held = state.HeldAssignment(assignment, 0.0, fingerprint)

    def work(self, examples: Examples) -> RoundWork:
        return RoundWork(
            job=Job(self.held.assignment, TASK, self.engine, self.bundle.weights),
            held=self.held,
            secret=SECRET,
            store=self.store,
            source=lambda manifest: examples,
            settings=DeviceSettings(holdout_fraction=SHARE),
            conditions=Conditions,
            now=itertools.count().__next__,
            sleep=lambda seconds: None,
            stop=StopEvent(),
            emit=self.events.append,
            evaluate=lambda report: None,
        )

    def told(self) -> list[str]:
        return [event.detail for event in self.events if event.kind == "data"]


def kept_by_row(work: RoundWork, training: Examples) -> Overlay:
    """An overlay as version 0.1 kept it, of these samples."""
    labels = np.where(training.keys % np.uint64(2), 2, training.y)
    return replace(Overlay.of(training, labels, generation=work.own_round().generation), former=True)


def test_data_are_divided_as_an_assignment_under_way_divided_them() -> None:
    training, held_out = holdout.split(BY_ROW, SHARE, SECRET)
    assert training.y.tolist() != holdout.split(LOADED, SHARE, SECRET)[0].y.tolist()
    begun = former.divided(LOADED, SHARE, SECRET, training.fingerprint)
    assert begun[0].fingerprint == training.fingerprint
    for side, old in zip(begun, (training, held_out), strict=True):
        np.testing.assert_array_equal(side.x["x"], old.x["x"])
    moved = with_rows_in_front(LOADED, 1)
    for loaded, fingerprint in ((LOADED, ""), (LOADED, "0" * 32), (moved, training.fingerprint)):
        now = holdout.split(loaded, SHARE, SECRET)[0]
        assert former.divided(loaded, SHARE, SECRET, fingerprint)[0].keys.tolist() == now.keys.tolist()


def test_an_overlay_of_the_very_same_data_is_carried_over(engine: OnnxEngine, small_bundle: Bundle) -> None:
    training, _ = holdout.split(BY_ROW, SHARE, SECRET)
    device = Device(engine, small_bundle, MemoryStore(), training.fingerprint)
    work = device.work(LOADED)
    overlay = kept_by_row(work, training)
    state.save_overlay(device.store, "task", overlay)
    assert work.update() is not None
    assert device.told() == []
    carried = state.load_overlay(device.store, "task")
    assert carried is not None
    assert not carried.former
    moved = with_rows_in_front(LOADED, 30)
    rows = np.flatnonzero(np.isin(moved.keys, former.divided(LOADED, SHARE, SECRET, training.fingerprint)[0].keys))
    assert carried.labels(moved)[rows].tolist() == overlay.labels(training).tolist()


@pytest.mark.parametrize("front", [0, 30])
def test_an_overlay_of_data_that_may_have_moved_is_dropped_and_said(
    engine: OnnxEngine, small_bundle: Bundle, front: int
) -> None:
    training, _ = holdout.split(BY_ROW, SHARE, SECRET)
    device = Device(engine, small_bundle, MemoryStore(), training.fingerprint if front else "")
    work = device.work(with_rows_in_front(LOADED, front))
    state.save_overlay(device.store, "task", kept_by_row(work, training))
    assert work.update() is not None
    assert device.told() == ["earlier re-labels went by row, and rows may have moved: re-labeling anew"]
    assert "relabeled" in [event.kind for event in device.events]


def test_labels_stay_with_their_samples_when_rows_are_put_in_front(engine: OnnxEngine, small_bundle: Bundle) -> None:
    device = Device(engine, small_bundle, MemoryStore())
    before = device.work(LOADED)
    labels = before.labels(before.own_round(), LOADED)
    assert (labels != LOADED.y).any()
    moved = with_rows_in_front(LOADED, 30)
    after = device.work(moved)
    laid = after.labels(after.own_round(), moved)
    assert laid[30:].tolist() == labels.tolist()
    assert laid[:30].tolist() == moved.y[:30].tolist()
    held = {key for key in holdout.split(moved, SHARE, SECRET)[1].keys.tolist() if key in set(LOADED.keys.tolist())}
    assert held == set(holdout.split(LOADED, SHARE, SECRET)[1].keys.tolist())


def test_equal_samples_with_different_labels_are_said(engine: OnnxEngine, small_bundle: Bundle) -> None:
    device = Device(engine, small_bundle, MemoryStore())
    twice = Examples({"x": np.repeat(LOADED.x["x"][:20], 2, axis=0)}, np.arange(40) % 3)
    assert device.work(twice).update() is not None
    assert device.told() == ["some examples have exactly the values of others, and another label"]
