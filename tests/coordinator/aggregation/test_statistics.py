"""Statistics are not parameters: a global model has the mean of what devices counted, whatever else is done to it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from fedrela.coordinator.rounds import housekeeping
from fedrela.coordinator.storage import blobs, collection, schema
from fedrela.core import bundle, encodings, signing, strict, tensors
from fedrela.core.task import Aggregation, Relabel, Rounds, Task
from fedrela.core.tensors import Params
from tests.coordinator import fleet
from tests.coordinator.api.test_bad_input import check_problem, stored
from tests.coordinator.conftest import House, house_with, settings_for
from tests.coordinator.storage.test_leftovers import replace_state

SHAPES: dict[str, tuple[int, ...]] = {"w": (3, 2), "mean": (4,), "variance": (4,)}
STATISTICS = ("mean", "variance")
THREE = Rounds(goal=3, smallest_cohort=3)
RATES = {"fedavg": 2.0, "fedavgm": 1.0, "fedadam": 0.1, "fedyogi": 0.1}


@pytest.fixture(scope="module")
def counting_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with a BatchNorm's statistics."""
    folder = tmp_path_factory.mktemp("counting")
    fleet.make_bundle(folder, SHAPES, {"mean": None, "variance": 0.0})
    return folder


@pytest.fixture
def house(tmp_path: Path, counting_bundle: Path) -> Iterator[House]:
    """A coordinator of its own."""
    with house_with(settings_for(tmp_path / "data"), counting_bundle) as house:
        yield house


def publish(house: House, rounds: Rounds = THREE, **aggregation: Any) -> str:
    task = Task("counting", 30, round=rounds, relabel=Relabel(enabled=False), aggregation=Aggregation(**aggregation))
    return house.operator.publish(house.bundle, task)


def weights_of(house: House, task_id: str) -> Params:
    return house.operator.weights(house.operator.task(task_id)["checkpoint_sha256"])


def update(began: Params, variance: float | np.ndarray, mean: float = 0.0, w: float = 0.1) -> Params:
    """The change of a device that began with a model and ended with these statistics."""
    ended = {"mean": np.full(4, mean, np.float32), "variance": np.full(4, variance, np.float32)}
    return {"w": np.full((3, 2), w, np.float32)} | {name: ended[name] - began[name] for name in STATISTICS}


def play(house: House, devices: list[fleet.Device], changes: list[Params], encoding: str = "float32") -> list[int]:
    """An update of each device, of one, two, three ... examples; the statuses."""
    joined = [device.join() for device in devices]
    bodies = [fleet.body(change, n, encoding, STATISTICS) for n, change in enumerate(changes, 1)]
    return [one.upload(two, body).status_code for one, two, body in zip(devices, joined, bodies, strict=True)]


@pytest.mark.parametrize(
    ("optimizer", "encoding"),
    [("fedavg", "top-k"), ("fedavg", "int8"), ("fedavgm", "float32"), ("fedadam", "float16"), ("fedyogi", "float32")],
)
def test_no_optimizer_and_no_encoding_touches_a_statistic(house: House, optimizer: str, encoding: str) -> None:
    """Case 01: momentum and residuals took a running variance below zero, and the model predicted NaN."""
    task_id = publish(house, server_optimizer=optimizer, encoding=encoding, server_lr=RATES[optimizer])
    devices = house.devices(3)
    for number, ended in enumerate(([0.5, 0.25, 0.0], [1e-3, 1e-4, 1e-5], [0.0, 1e-6, 3.0], [0.0, 0.0, 0.0]), 1):
        began = weights_of(house, task_id)
        assert play(house, devices, [update(began, var, mean=var - 1) for var in ended], encoding) == [200] * 3
        assert house.operator.task(task_id)["committed_rounds"] == number
        now = weights_of(house, task_id)
        expected = (ended[0] + 2 * ended[1] + 3 * ended[2]) / 6
        np.testing.assert_allclose(now["variance"], expected, atol=1e-6)
        np.testing.assert_allclose(now["mean"], expected - 1, atol=1e-6)
        assert now["variance"].min() >= 0
    for name in stored(house):
        assert {key.partition(".")[2] for key in tensors.read(house.coordinator.blobs.read(name))} == {"w"}


@pytest.mark.parametrize("clip_norm", [0.0, 0.01])
def test_a_clipped_update_still_says_what_it_counted(house: House, clip_norm: float) -> None:
    task_id = publish(house, clip_norm=clip_norm)
    began = weights_of(house, task_id)
    play(house, house.devices(3), [update(began, 1e-4)] * 3)
    now = weights_of(house, task_id)
    np.testing.assert_allclose(now["variance"], 1e-4, rtol=1e-3)
    assert tensors.l2_norm({"w": now["w"]}) == pytest.approx(clip_norm or 0.1 * np.sqrt(6), rel=1e-5)


@pytest.mark.parametrize(("rule", "expected"), [("median", 2.0), ("trimmed-mean", 2.0), ("multi-krum", 1.5)])
def test_a_robust_rule_keeps_one_liar_from_the_statistics(house: House, rule: str, expected: float) -> None:
    """Each rule has the honest values and nothing beyond them; a plain mean would have the liar's."""
    task_id = publish(house, rule=rule, trim_fraction=0.34, byzantine_fraction=0.34)
    began = weights_of(house, task_id)
    changes = [update(began, 1.0, w=0.10), update(began, 2.0, w=0.11), update(began, 1e5, w=0.50)]
    assert play(house, house.devices(3), changes) == [200] * 3
    np.testing.assert_allclose(weights_of(house, task_id)["variance"], expected, rtol=1e-5)


def test_multi_krum_compares_updates_by_their_parameters(house: House) -> None:
    """Honest variances of unscaled inputs are far apart; a liar whose own lies between them was chosen for that."""
    task_id = publish(house, rule="multi-krum", byzantine_fraction=0.34)
    began = weights_of(house, task_id)
    changes = [update(began, 100.0, w=0.10), update(began, 900.0, w=0.11), update(began, 500.0, w=50.0)]
    play(house, house.devices(3), changes)
    now = weights_of(house, task_id)
    np.testing.assert_allclose(now["w"], 0.105, rtol=1e-5)
    np.testing.assert_allclose(now["variance"], 500.0, rtol=1e-5)


@pytest.mark.parametrize("encoding", ["float32", "int8"])
def test_a_stale_update_says_what_it_counted_and_not_how_far_it_came(house: House, encoding: str) -> None:
    """It began at a variance of 1 and ended at 0.01: by that change the newest model's 0.02 would go below zero."""
    rounds = Rounds(mode="asynchronous", goal=2, smallest_cohort=2, concurrency=6)
    task_id = publish(house, rounds, encoding=encoding)
    slow, *quick = house.devices(4)
    began = weights_of(house, task_id)
    late = slow.join()
    play(house, quick[:2], [update(began, 0.02)] * 2, encoding)
    newer = weights_of(house, task_id)
    play(house, quick[2:], [update(newer, 0.03)], encoding)
    body = fleet.body(update(began, 0.01, w=1.0), 3, encoding, STATISTICS)
    assert slow.upload(late, body).status_code == 200
    now = weights_of(house, task_id)
    assert house.operator.task(task_id)["committed_rounds"] == 2
    np.testing.assert_allclose(now["variance"], (0.03 + 3 * 0.01) / 4, rtol=1e-4)
    np.testing.assert_allclose(now["w"], newer["w"] + (0.1 + 3 / np.sqrt(2)) / 4, rtol=2e-2)


def test_what_a_stale_update_began_with_is_not_collected_while_it_waits(house: House) -> None:
    task_id = publish(house, Rounds(mode="asynchronous", goal=2, smallest_cohort=2, concurrency=6))
    slow, *quick = house.devices(3)
    for round_number in (1, 2, 3):
        began, base = weights_of(house, task_id), house.operator.task(task_id)["checkpoint_sha256"]
        if round_number == 2:
            late, body = slow.join(), fleet.body(update(began, 0.25), statistics=STATISTICS)
            began_late = base
        play(house, quick, [update(began, 0.5)] * 2)
    assert slow.upload(late, body).status_code == 200
    settings = replace(house.coordinator.settings, keep_checkpoints=1)
    gone = collection.collect(replace(house.coordinator, settings=settings), min_age_seconds=0, dry_run=True)
    assert blobs.public(began_late) not in gone.names
    assert blobs.public(base) in gone.names


def test_an_update_that_takes_a_statistic_out_of_its_range_is_left_out_and_named(house: House) -> None:
    task_id = publish(house, Rounds(goal=3, minimum=2, smallest_cohort=2))
    devices = house.devices(3)
    began = weights_of(house, task_id)
    assert play(house, devices, [update(began, 0.5), update(began, 0.5), update(began, -9.0)]) == [200] * 3
    first = house.operator.rounds(task_id)[0]
    assert (first["phase"], first["updates"]) == ("committed", 2)
    assert first["left_out"] == {devices[2].device_id: "statistic-too-low"}
    np.testing.assert_allclose(weights_of(house, task_id)["variance"], 0.5, rtol=1e-6)
    assert stored(house) == []


def test_a_statistic_without_a_lowest_value_has_none(house: House) -> None:
    task_id = publish(house)
    began = weights_of(house, task_id)
    play(house, house.devices(3), [update(began, 0.5, mean=-100.0)] * 3)
    np.testing.assert_allclose(weights_of(house, task_id)["mean"], -100.0)


def test_no_task_begins_with_a_statistic_out_of_its_range(house: House) -> None:
    read = bundle.read(house.bundle)
    bad = tensors.to_bytes(read.weights | {"variance": np.full(4, -0.5, np.float32)})
    for sha256, content in (read.blobs() | {signing.sha256(bad): bad}).items():
        house.operator.call("PUT", f"/blobs/{sha256}", content=content)
    task = json.loads(strict.to_json(Task("counting", 3, round=THREE, relabel=Relabel(enabled=False))))
    message = {"task": task, "seal": vars(read.seal), "checkpoint_sha256": signing.sha256(bad)}
    refused = house.http.post("/v1/admin/tasks", headers=house.operator.headers, json=message)
    assert "below 0" in check_problem(refused, 400, "invalid-tensors")["detail"]


def test_a_model_that_an_earlier_version_took_out_of_its_range_says_so(house: House) -> None:
    task_id = publish(house)
    began = weights_of(house, task_id)
    bad = tensors.to_bytes(began | {"variance": np.full(4, -0.5, np.float32)})
    name = signing.sha256(bad)
    house.coordinator.blobs.put(blobs.public(name), bad)
    with house.coordinator.store.write() as tx:
        tx.execute(sa.update(schema.rounds).values(base_checkpoint_sha256=name))
    play(house, house.devices(3), [update(began, 0.5)] * 3)
    shown = house.operator.task(task_id)
    assert shown["phase"] == "aggregating"
    assert "fedrela task rollback" in shown["problem"]


def test_moments_of_statistics_that_an_earlier_version_kept_move_nothing(house: House) -> None:
    task_id = publish(house, server_optimizer="fedavgm")
    devices = house.devices(3)
    play(house, devices, [update(weights_of(house, task_id), 0.5)] * 3)
    (name,) = stored(house)
    state = tensors.read(house.coordinator.blobs.read(name))
    moments = {f"velocity.{name}": np.full(4, np.inf, np.float32) for name in STATISTICS}
    replace_state(house, task_id, tensors.to_bytes(state | moments))
    play(house, devices, [update(weights_of(house, task_id), 0.25)] * 3)
    assert house.operator.task(task_id)["committed_rounds"] == 2
    np.testing.assert_allclose(weights_of(house, task_id)["variance"], 0.25, rtol=1e-6)


def test_an_update_that_an_earlier_version_accepted_with_encoded_statistics_still_counts(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id = publish(house, encoding="top-k")
    began, devices = weights_of(house, task_id), house.devices(3)
    decode = encodings.decode
    with monkeypatch.context() as earlier:
        earlier.setattr(encodings, "decode", lambda body, specs, encoding, statistics: decode(body, specs, encoding))
        earlier.setattr(housekeeping, "run_housekeeping", lambda coordinator: None)
        for device in devices:
            body = fleet.body(update(began, 0.5), encoding="top-k")
            assert device.upload(device.join(), body).status_code == 200
    housekeeping.run_housekeeping(house.coordinator)
    np.testing.assert_allclose(weights_of(house, task_id)["variance"], 0.5)


def test_large_statistics_are_no_part_of_what_is_usual_and_have_a_bound_of_their_own(house: House) -> None:
    """A hundred times the usual variance once let an update pass whose weights were beyond all measure."""
    task_id = publish(house)
    devices = house.devices(3)
    for number in range(7):
        variance = 1e5 * (1 + number % 2)
        assert play(house, devices, [update(weights_of(house, task_id), variance)] * 3) == [200] * 3
    began = weights_of(house, task_id)
    large, counted = update(began, 1e5, w=100.0), update(began, 2e6)
    for device, change in zip(devices, (large, counted), strict=False):
        body = fleet.body(change, statistics=STATISTICS)
        check_problem(device.upload(device.join(), body), 409, "norm-too-large")
