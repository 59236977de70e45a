"""A device's turn in a group: what it sends, in which order, whoever is lost, and what is left of it."""

import json
from threading import Event as StopEvent

import numpy as np
import pytest

from fedrela.core.bundle import Bundle
from fedrela.core.secure import secure_tasks
from fedrela.core.secure.fixed_point import Extras
from fedrela.core.secure.messages import SecureStep
from fedrela.core.streams import derive
from fedrela.edge.engines.onnx_engine import OnnxEngine
from fedrela.edge.owner.settings import DeviceSettings, Event
from fedrela.edge.secure import kept_session, vector
from fedrela.edge.training import local_round
from tests.edge.conftest import some_examples
from tests.edge.secure.conftest import secure_task
from tests.edge.secure.group_coordinator import GroupCoordinator
from tests.edge.secure.played_group import PHASES

WHOLE_TURN = ["secure/keys", "secure/shares", "update", "secure/agreement", "secure/reveal"]


def test_the_sum_holds_the_update_to_the_bit_and_nothing_is_left(
    coordinator: GroupCoordinator, engine: OnnxEngine, small_bundle: Bundle
) -> None:
    examples, events = some_examples(40), list[Event]()
    client = coordinator.device(examples, on_event=events.append)
    outcome = client.run_once()
    assert (outcome.kind, outcome.round) == ("uploaded", 1)
    assert coordinator.told() == WHOLE_TURN
    local = local_round.LocalRound(coordinator.task, 1, bytes(range(32)))
    state = engine.start(small_bundle.weights)
    list(local_round.train(engine, local, examples, examples.y, state))
    change = local_round.change(engine, state, small_bundle.weights)
    stream, extras = local.stream("encode"), Extras(weight=1.0)
    layout = secure_tasks.layout(coordinator.task, small_bundle.manifest, 0)
    expected = vector.of(change, small_bundle.manifest, layout, extras, stream)
    assert coordinator.own_vectors[0].tolist() == expected.tolist()
    assert client.store.keys("assignment/") == []
    said = " ".join(event.detail for event in events if event.kind == "group")
    assert "group of 6 devices" in said
    assert "nobody can read it, only the sum" in said


@pytest.mark.parametrize("phase", PHASES)
def test_others_may_vanish_in_every_phase(coordinator: GroupCoordinator, phase: str) -> None:
    coordinator.lost = {5: phase}
    assert coordinator.device(some_examples(30)).run_once().kind == "uploaded"
    reveal = json.loads(coordinator.sent("secure/reveal")[0])
    assert [one["index"] for one in reveal["pair"]] == ([5] if phase == "masking" else [])
    assert (5 in [one["index"] for one in reveal["own"]]) == (phase in PHASES[2:])


def test_a_group_that_breaks_up_early_is_begun_anew_with_new_keys(coordinator: GroupCoordinator) -> None:
    coordinator.breaks = 2
    pauses: list[float] = []
    assert coordinator.device(some_examples(30), sleep=pauses.append).run_once().kind == "uploaded"
    keys = coordinator.sent("secure/keys")
    assert len(set(keys)) == len(keys) == 3
    assert len(coordinator.sent("/update")) == 1
    assert min(pauses) > 0


def test_rounds_follow_each_other(coordinator: GroupCoordinator) -> None:
    client = coordinator.device(some_examples(30))
    assert client.run_once().kind == "uploaded"
    coordinator.next_round()
    assert client.run_once().kind == "uploaded"
    assert len(set(coordinator.sent("secure/keys"))) == 2
    assert len(coordinator.own_vectors) == 2


def test_a_stopped_device_goes_on_with_the_same_session(coordinator: GroupCoordinator) -> None:
    stop = StopEvent()
    coordinator.on_request = lambda kind, when: stop.set() if (kind, when) == ("secure/shares", "after") else None
    client = coordinator.device(some_examples(30), stop=stop)
    assert client.run_once().kind == "stopped"
    assert kept_session.load(client.store) is not None
    assert not coordinator.sent("/update")
    coordinator.on_request = lambda kind, when: None
    stop.clear()
    assert client.run_once().kind == "uploaded"
    assert len(set(coordinator.sent("secure/keys"))) == 1
    assert kept_session.load(client.store) is None


def test_a_turn_that_the_coordinator_closes_ends_and_is_said(coordinator: GroupCoordinator) -> None:
    coordinator.lost = {4: "masking", 5: "masking"}  # four are left, five are needed
    events: list[Event] = []
    client = coordinator.device(some_examples(30), on_event=events.append)
    outcome = client.run_once()
    assert (outcome.kind, outcome.reason) == ("dropped", "group-closed")
    assert coordinator.told() == WHOLE_TURN[:3]
    assert "too few members in masking" in events[-1].detail
    assert client.store.keys("assignment/") == []


def test_a_group_is_waited_for_beyond_the_leases_and_not_for_ever(coordinator: GroupCoordinator) -> None:
    now = 1000.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    coordinator.lie = lambda step: SecureStep("wait", retry_after_seconds=50.0)
    coordinator.assigned = {"compute_lease_seconds": 300.0, "upload_lease_seconds": 60.0}
    client = coordinator.device(some_examples(30), sleep=sleep, now=lambda: now)
    outcome = client.run_once()
    assert (outcome.kind, outcome.reason) == ("dropped", "timed-out")
    assert 1000 + coordinator.task.round.deadline_seconds < now < 1000 + 900
    assert kept_session.load(client.store) is None


def test_an_evaluation_goes_inside_the_sum_over_samples_drawn_anew(small_bundle: Bundle) -> None:
    task = secure_task(local_evaluation=True)
    settings = DeviceSettings(holdout_fraction=0.5, allow_evaluation=True)
    with GroupCoordinator(small_bundle, task) as coordinator:
        client = coordinator.device(some_examples(200), settings=settings)
        for _ in range(2):
            assert client.run_once().kind == "uploaded"
            coordinator.next_round()
        assert not coordinator.sent("/evaluation")
    parameters = sum(spec.size for spec in small_bundle.manifest.parameters)
    extras = [own[parameters:].tolist() for own in coordinator.own_vectors]
    assert [one[4] for one in extras] == [32, 32]
    assert extras[0][2] != extras[1][2]  # the sums of losses of the same model: other samples


def test_too_few_samples_held_out_are_not_evaluated() -> None:
    assert vector.evaluated_rows(31, derive(b"secret")).tolist() == []
    first, second = (vector.evaluated_rows(60, derive(b"secret", round_number)) for round_number in (1, 2))
    assert len(set(first.tolist())) == 32
    assert not np.array_equal(first, second)
