"""The device against a real coordinator over real HTTP."""

import json
from pathlib import Path

import numpy as np
import pytest

from fedrela.core import relabel as reference
from fedrela.core import streams, tensors
from fedrela.core.bundle import Bundle
from fedrela.core.errors import InvalidData
from fedrela.core.task import Aggregation, LocalTraining, Relabel, Rounds
from fedrela.core.wire import Encoding
from fedrela.edge.owner.settings import DeviceSettings, Event
from fedrela.edge.storage import state
from fedrela.edge.storage.sent_log import SentLog
from fedrela.edge.training.examples import Examples
from tests.edge import softmax_bundle as small
from tests.edge.conftest import some_examples
from tests.edge.live import LiveCoordinator, coordinator, device, run_until_finished, small_task


def numpy_update(weights: dict, examples: Examples, labels: np.ndarray, secret: bytes, number: int, lr: float) -> dict:
    """One device's client round, written without the project's training code."""
    state_now = dict(weights) | {f"momentum.{name}": np.zeros_like(array) for name, array in weights.items()}
    step = 0
    for epoch in range(2):
        order = streams.permutation(streams.derive(secret, "fedrela/v1", 0, number, "shuffle", epoch), len(labels))
        for start in range(0, len(labels), 5):
            rows = order[start : start + 5]
            stream = streams.derive(secret, "fedrela/v1", 0, number, "train", step, "noise")
            noise = streams.uniforms(stream, (len(rows), small.PIXELS))
            x, ones = examples.x["x"][rows], np.ones(len(rows))
            state_now, _, _ = small.numpy_step(state_now, x, labels[rows], ones, noise, lr=lr, momentum=0.5)
            step += 1
    return {name: state_now[name] - weights[name] for name in weights}


def numpy_relabel(weights: dict, examples: Examples, secret: bytes, number: int) -> np.ndarray:
    x, labels = examples.x["x"], examples.y
    q = np.zeros((len(labels), 3))
    for one in range(2):
        stream = streams.derive(secret, "fedrela/v1", 0, number, "relabel-pass", one, 0, "noise")
        q += small.numpy_predict(weights, x, streams.uniforms(stream, (len(x), small.PIXELS))) / 2
    draw = streams.derive(secret, "fedrela/v1", 0, number, "relabel-draw")
    return reference.relabel(q, labels, streams.uniforms(draw, q.shape), threshold_percent=30).labels


def test_three_rounds_equal_federated_averaging_in_numpy(live: LiveCoordinator, small_bundle: Bundle) -> None:
    task_id = live.publish(small_bundle, small_task())
    data = [some_examples(23, seed=1), some_examples(11, seed=2)]
    devices = [device(live, number, examples) for number, examples in enumerate(data)]
    run_until_finished(devices, live, task_id, 3)

    weights = {name: array.astype(np.float64) for name, array in small.start_weights().items()}
    for number in (1, 2, 3):
        updates = []
        for index, examples in enumerate(data):
            secret = bytes([index]) * 32
            labels = numpy_relabel(weights, examples, secret, number) if number == 3 else examples.y
            lr = 0.05 if number == 3 else 0.5
            updates.append(numpy_update(weights, examples, labels, secret, number, lr))
        weights = {name: w + (23 * updates[0][name] + 11 * updates[1][name]) / 34 for name, w in weights.items()}
    final = live.weights(live.rounds(task_id)[-1]["checkpoint_sha256"], small_bundle)
    for name, array in final.items():
        np.testing.assert_allclose(array, weights[name], rtol=1e-5, atol=1e-6)


def test_a_fleet_run_twice_gives_the_same_bytes(tmp_path: Path, small_bundle: Bundle) -> None:
    finals = []
    for attempt in range(2):
        with coordinator(tmp_path / str(attempt)) as live:
            task_id = live.publish(small_bundle, small_task())
            devices = [device(live, number, some_examples(20, seed=number)) for number in range(2)]
            run_until_finished(devices[:: 1 if attempt else -1], live, task_id, 3)
            finals.append([record["checkpoint_sha256"] for record in live.rounds(task_id)])
    assert finals[0] == finals[1]


def test_events_tell_the_walk(live: LiveCoordinator, small_bundle: Bundle) -> None:
    live.publish(small_bundle, small_task(rounds=1, relabel=Relabel(start=1), round=Rounds(goal=1, smallest_cohort=1)))
    seen: list[Event] = []
    client = device(live, 1, some_examples(7), on_event=seen.append)
    outcome = client.run_once()
    assert (outcome.kind, outcome.round) == ("uploaded", 1)
    kinds = [event.kind for event in seen]
    assert kinds == ["assigned", "ready", "relabeled", "step", "step", "step", "step", "trained", "uploaded"]
    assert [(event.step, event.steps) for event in seen if event.kind == "step"] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert client.run_once().kind == "waiting"


def test_originals_are_untouched_and_the_overlay_is_kept_by_task(live: LiveCoordinator, small_bundle: Bundle) -> None:
    examples = some_examples(60)
    before = examples.y.copy()
    client = device(live, 3, examples)
    task = small_task(
        rounds=2, relabel=Relabel(start=1, threshold_percent=40.0), round=Rounds(goal=1, smallest_cohort=1)
    )
    first = live.publish(small_bundle, task)
    run_until_finished([client], live, first, 1)
    overlay = state.load_overlay(client.store, first)
    assert overlay is not None
    assert (overlay.labels(examples) != before).any()
    np.testing.assert_array_equal(examples.y, before)
    run_until_finished([client], live, first, 2)
    again = state.load_overlay(client.store, first)
    assert again is not None
    np.testing.assert_array_equal(again.labels(examples), overlay.labels(examples))
    second = live.publish(
        small_bundle, small_task(rounds=1, relabel=Relabel(start=1), round=Rounds(goal=1, smallest_cohort=1))
    )
    assert state.load_overlay(client.store, second) is None


def test_periodic_relabeling_starts_from_the_originals(live: LiveCoordinator, small_bundle: Bundle) -> None:
    task = small_task(
        rounds=3, relabel=Relabel(start=1, period=2, threshold_percent=40.0), round=Rounds(goal=1, smallest_cohort=1)
    )
    task_id = live.publish(small_bundle, task)
    client = device(live, 3, some_examples(60))
    generations: dict[int, int] = {}

    def on_event(event: Event) -> None:
        if event.kind == "trained":
            overlay = state.load_overlay(client.store, task_id)
            assert overlay is not None
            generations[event.round] = overlay.generation

    client.on_event = on_event
    run_until_finished([client], live, task_id, 3)
    assert generations == {1: 1, 2: 1, 3: 2}


@pytest.mark.parametrize("encoding", ["float16", "int8", "top-k"])
def test_every_encoding_arrives(live: LiveCoordinator, small_bundle: Bundle, encoding: Encoding) -> None:
    task = small_task(
        rounds=2, aggregation=Aggregation(encoding=encoding, top_k_fraction=0.2),
        round=Rounds(goal=1, smallest_cohort=1), relabel=Relabel(enabled=False),
    )  # fmt: skip
    task_id = live.publish(small_bundle, task)
    client = device(live, 1, some_examples())
    run_until_finished([client], live, task_id, 2)
    residual = state.load_residual(client.store, task_id, small_bundle.manifest.weights)
    assert (residual is not None) == (encoding == "top-k")


def test_a_device_with_one_sample_takes_part(live: LiveCoordinator, small_bundle: Bundle) -> None:
    live.publish(small_bundle, small_task(round=Rounds(goal=1, smallest_cohort=1)))
    assert device(live, 1, some_examples(1)).run_once().kind == "uploaded"


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        (some_examples(5).take(np.empty(0, np.int64)), "there is no example"),
        (Examples({"x": some_examples(2).x["x"]}, np.array([0, 7])), r"outside 0\.\.2"),
    ],
)
def test_bad_local_data_are_an_error_and_give_the_slot_back(
    live: LiveCoordinator, small_bundle: Bundle, examples: Examples, message: str
) -> None:
    task_id = live.publish(small_bundle, small_task())
    client = device(live, 1, examples)
    with pytest.raises(InvalidData, match=message):
        client.run_once()
    assert state.load_assignment(client.store) is None
    assert live.rounds(task_id)[-1]["failures"] == {"not-eligible": 1}


def test_a_diverging_loss_is_a_failed_assignment(live: LiveCoordinator, small_bundle: Bundle) -> None:
    local = LocalTraining(epochs=40, hyperparameters={"lr": 1e38})
    task_id = live.publish(small_bundle, small_task(local=local, relabel=Relabel(enabled=False)))
    outcome = device(live, 1, some_examples()).run_once()
    assert (outcome.kind, outcome.reason) == ("dropped", "training-failed")
    assert live.rounds(task_id)[-1]["failures"] == {"training-failed": 1}


def test_too_few_examples_are_not_eligible(live: LiveCoordinator, small_bundle: Bundle) -> None:
    from fedrela.core.task import Eligibility

    live.publish(small_bundle, small_task(eligibility=Eligibility(min_examples=24)))
    outcome = device(live, 1, some_examples(23)).run_once()
    assert (outcome.kind, outcome.reason) == ("dropped", "not-eligible")


def test_the_log_says_what_was_sent_and_holds_no_token(live: LiveCoordinator, small_bundle: Bundle) -> None:
    live.publish(small_bundle, small_task(round=Rounds(goal=1, smallest_cohort=1)))
    client = device(live, 1, some_examples())
    client.run_once()
    lines = SentLog(client.store).lines()
    assert [(line["method"], str(line["path"]).rsplit("/", 1)[-1]) for line in lines if line["method"] != "GET"] == [
        ("POST", "devices"),
        ("POST", "check-ins"),
        ("PUT", "update"),
    ]
    body = client.store.get("last/update")
    assert body is not None
    assert lines[-1]["bytes"] == len(body)
    assert set(tensors.read(body)) == {"w", "b"}
    assert client.identity.device_token not in json.dumps(lines)


def test_a_step_limit_of_the_owner_holds(live: LiveCoordinator, small_bundle: Bundle) -> None:
    live.publish(small_bundle, small_task(round=Rounds(goal=1, smallest_cohort=1)))
    seen: list[Event] = []
    client = device(live, 1, some_examples(), settings=DeviceSettings(max_steps=3), on_event=seen.append)
    assert client.run_once().kind == "uploaded"
    assert [event.steps for event in seen if event.kind == "step"] == [3, 3, 3]
