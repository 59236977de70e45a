"""What a device does between the lines of a round: leases, changed data, hold-outs, residuals, budgets."""

import itertools
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Event as StopEvent
from typing import Any

import numpy as np
import pytest

from fedrela.core import encodings, tensors
from fedrela.core.bundle import Bundle
from fedrela.core.errors import InvalidInput
from fedrela.core.task import Aggregation, LocalTraining, Relabel, Rounds
from fedrela.edge.owner.settings import DeviceSettings, Event
from fedrela.edge.storage import state
from fedrela.edge.storage.store import FolderStore, MemoryStore
from fedrela.edge.training import holdout
from tests.edge.conftest import some_examples
from tests.edge.live import LiveCoordinator, device, small_task

ONE: dict[str, Any] = {
    "relabel": Relabel(enabled=False),
    "round": Rounds(goal=1, smallest_cohort=1, retry_after_seconds=0.05),
}


def committed_once(live: LiveCoordinator, task_id: str) -> bool:
    return live.committed(task_id) == 1


def interrupted_at(step: int, stop: StopEvent) -> Callable[[Event], None]:
    """An event callback that stops the device after a step."""

    def on_event(event: Event) -> None:
        if event.kind == "step" and event.step == step:
            stop.set()

    return on_event


def test_a_stopped_round_goes_on_and_gives_the_same_bits(
    live: LiveCoordinator, small_bundle: Bundle, tmp_path: Path
) -> None:
    bodies = []
    for stops in ((), (1, 4, 5, 9)):
        task_id = live.publish(small_bundle, small_task(rounds=1, **ONE))
        store = FolderStore(tmp_path / f"state{len(stops)}")
        for step in stops:
            stop = StopEvent()
            client = device(live, 4, some_examples(), store=store, stop=stop, on_event=interrupted_at(step, stop))
            assert client.run_once().kind == "stopped"
            snapshot = store.get("assignment/snapshot")
            assert snapshot is not None
            assert tensors.read_metadata(snapshot)["steps"] == str(step)
        assert device(live, 4, some_examples(), store=store).run_once().kind == "uploaded"
        live.wait(partial(committed_once, live, task_id))
        bodies.append(store.get("last/update"))
    assert bodies[0] == bodies[1]


def test_data_that_changed_in_between_start_the_round_anew(live: LiveCoordinator, small_bundle: Bundle) -> None:
    live.publish(small_bundle, small_task(rounds=1, **ONE))
    seen: list[Event] = []
    stop, store = StopEvent(), MemoryStore()
    first = device(live, 4, some_examples(23), store=store, stop=stop, on_event=interrupted_at(3, stop))
    assert first.run_once().kind == "stopped"
    second = device(live, 4, some_examples(24), store=store, on_event=seen.append)
    assert second.run_once().kind == "uploaded"
    assert next(event.step for event in seen if event.kind == "step") == 1


def test_a_damaged_snapshot_starts_the_round_anew(live: LiveCoordinator, small_bundle: Bundle) -> None:
    live.publish(small_bundle, small_task(rounds=1, **ONE))
    seen: list[Event] = []
    stop, store = StopEvent(), MemoryStore()
    device(live, 4, some_examples(), store=store, stop=stop, on_event=interrupted_at(3, stop)).run_once()
    store.put("assignment/snapshot", (store.get("assignment/snapshot") or b"")[:-5])
    assert device(live, 4, some_examples(), store=store, on_event=seen.append).run_once().kind == "uploaded"
    assert next(event.step for event in seen if event.kind == "step") == 1


def test_an_update_that_could_not_be_sent_is_kept_and_sent_later(live: LiveCoordinator, small_bundle: Bundle) -> None:
    task_id = live.publish(small_bundle, small_task(rounds=1, **ONE))
    client = device(live, 4, some_examples())
    held = client.check_in()
    assert isinstance(held, state.HeldAssignment)
    body = client.train(held)
    client.data = lambda manifest: pytest.fail("a finished assignment needs no data")
    assert client.run_once().kind == "uploaded"
    assert client.store.get("last/update") == body
    live.wait(lambda: live.committed(task_id) == 1)


def test_an_expired_lease_is_noticed_and_dropped(live: LiveCoordinator, small_bundle: Bundle) -> None:
    rounds = Rounds(goal=1, smallest_cohort=1, compute_lease_seconds=4.0, upload_lease_seconds=1.0)
    task_id = live.publish(small_bundle, small_task(rounds=1, relabel=Relabel(enabled=False), round=rounds))
    seen: list[Event] = []
    stop, store = StopEvent(), MemoryStore()
    assert device(live, 4, some_examples(), store=store, stop=stop, on_event=interrupted_at(3, stop)).run_once()
    before = state.load_assignment(store)
    time.sleep(5.2)
    second = device(live, 4, some_examples(), store=store, on_event=seen.append)
    live.wait(lambda: second.run_once().kind == "uploaded" or bool(live.committed(task_id)), seconds=60)
    assert before is not None
    assert (seen[0].kind, seen[0].detail) == ("dropped", "the lease ran out while the device was away")
    assert next(event.step for event in seen if event.kind == "step") == 1


def test_a_clock_that_was_set_does_not_lose_the_assignment(live: LiveCoordinator, small_bundle: Bundle) -> None:
    """By this device's clock the lease is over; the coordinator knows better."""
    live.publish(small_bundle, small_task(rounds=1, **ONE))
    seen: list[Event] = []
    stop, store = StopEvent(), MemoryStore()
    device(
        live, 4, some_examples(), store=store, stop=stop, on_event=interrupted_at(3, stop), now=lambda: 60.0
    ).run_once()
    assert device(live, 4, some_examples(), store=store, on_event=seen.append).run_once().kind == "uploaded"
    assert next(event.step for event in seen if event.kind == "step") == 4
    assert "dropped" not in [event.kind for event in seen]


def test_a_round_that_closed_meanwhile_drops_the_assignment(live: LiveCoordinator, small_bundle: Bundle) -> None:
    task_id = live.publish(small_bundle, small_task(rounds=1, **ONE))
    client = device(live, 4, some_examples())
    held = client.check_in()
    assert isinstance(held, state.HeldAssignment)
    client.train(held)
    live.admin.request("POST", f"/tasks/{task_id}/cancel")
    outcome = client.run_once()
    assert outcome.kind == "dropped"
    assert state.load_assignment(client.store) is None


@pytest.mark.parametrize(("asks", "allows", "share"), [(True, True, 0.3), (True, False, 0.3), (False, True, 0.3)])
def test_totals_are_reported_only_if_the_task_asks_and_the_owner_allows(
    live: LiveCoordinator, small_bundle: Bundle, asks: bool, allows: bool, share: float
) -> None:
    live.publish(small_bundle, small_task(rounds=1, local_evaluation=asks, **ONE))
    settings = DeviceSettings(holdout_fraction=share, allow_evaluation=allows)
    client = device(live, 4, some_examples(40), settings=settings)
    assert client.run_once().kind == "uploaded"
    sent = client.store.get("last/evaluation")
    assert (sent is not None) == (asks and allows)
    update = client.store.get("last/update")
    assert update is not None
    trained_on = int(tensors.read_metadata(update)["examples"])
    assert trained_on < 40
    if sent is not None:
        assert f'"examples":{40 - trained_on}'.encode() in sent


def test_a_hold_out_is_stable_while_data_grow() -> None:
    examples = some_examples(200)
    training, held_out = holdout.split(examples, 0.25, b"secret")
    assert set(training.keys.tolist()).isdisjoint(held_out.keys.tolist())
    assert len(training) + len(held_out) == 200
    assert 20 < len(held_out) < 80
    _, before = holdout.split(examples.take(np.arange(100)), 0.25, b"secret")
    assert set(before.keys.tolist()) == set(held_out.keys.tolist()) & set(examples.keys[:100].tolist())
    assert set(held_out.keys.tolist()) != set(holdout.split(examples, 0.25, b"other")[1].keys.tolist())
    assert len(holdout.split(some_examples(3), 0.999, b"s")[0]) >= 1


def test_what_top_k_drops_is_owed_and_paid(live: LiveCoordinator, small_bundle: Bundle) -> None:
    aggregation = Aggregation(encoding="top-k", top_k_fraction=0.1)
    live.publish(small_bundle, small_task(rounds=2, aggregation=aggregation, local=LocalTraining(epochs=1), **ONE))
    specs = small_bundle.manifest.weights
    client = device(live, 4, some_examples())
    held = client.check_in()
    assert isinstance(held, state.HeldAssignment)
    body = client.train(held)
    assert body is not None
    assert state.load_residual(client.store, held.assignment.task_id, specs) is None  # not before it is accepted
    client.upload(held, body)
    owed = state.load_residual(client.store, held.assignment.task_id, specs)
    assert owed is not None
    sent, _ = encodings.decode(body, specs, "top-k")
    for name, dropped in owed.items():
        assert not np.any((sent[name] != 0) & (dropped != 0))
    live.wait(lambda: isinstance(client.check_in(), state.HeldAssignment))
    second = state.load_assignment(client.store)
    assert second is not None
    paid, _ = encodings.decode(client.train(second) or b"", specs, "top-k")
    left = tensors.from_bytes(client.store.get("assignment/residual") or b"", specs)
    client.store.delete("assignment/update")
    client.store.delete(f"residuals/{state.task_key(second.assignment.task_id)}")
    alone, _ = encodings.decode(client.train(second) or b"", specs, "top-k")
    rest = tensors.from_bytes(client.store.get("assignment/residual") or b"", specs)
    for name, before in owed.items():
        np.testing.assert_allclose(paid[name] + left[name], alone[name] + rest[name] + before, atol=1e-6)


def test_a_time_budget_ends_a_round_early(live: LiveCoordinator, small_bundle: Bundle) -> None:
    live.publish(small_bundle, small_task(rounds=1, **ONE))
    clock = [0.0]
    seen: list[Event] = []

    def tick(event: Event) -> None:
        clock[0] += event.kind == "step"
        seen.append(event)

    settings = DeviceSettings(max_seconds=3.5)
    client = device(live, 4, some_examples(), settings=settings, on_event=tick, now=lambda: clock[0])
    assert client.run_once().kind == "uploaded"
    assert len([event for event in seen if event.kind == "step"]) == 4


@pytest.mark.parametrize(
    ("max_seconds", "says"),
    [(30.0, "predicting takes longer than this device's owner allows"), (0.0, "the lease ran out while predicting")],
)
def test_predicting_takes_no_longer_than_the_owner_and_the_lease_allow(
    live: LiveCoordinator, small_bundle: Bundle, max_seconds: float, says: str
) -> None:
    live.publish(small_bundle, small_task(rounds=1, **(ONE | {"relabel": Relabel(start=1, passes=1000)})))
    clock, seen = itertools.count(0.0, 1.0), list[Event]()
    settings = DeviceSettings(max_seconds=max_seconds)
    client = device(live, 4, some_examples(), settings=settings, on_event=seen.append, now=lambda: next(clock))
    outcome = client.run_once()
    assert (outcome.kind, outcome.reason) == ("dropped", "timed-out")
    assert any(says in event.detail for event in seen)


def test_settings_are_checked() -> None:
    for wrong in ({"holdout_fraction": 1.0}, {"max_steps": -1}, {"pause_seconds": -0.1}):
        with pytest.raises(InvalidInput):
            DeviceSettings(**wrong)
