"""What leaves a device in a secure round, byte by byte: nothing but noise depends on its labels, names or counts."""

import json
import re
from dataclasses import fields, replace
from itertools import groupby

import numpy as np
import pytest

from fedrela.core import tensors, wire
from fedrela.core.bundle import Bundle
from fedrela.core.secure import messages
from fedrela.core.task import LocalTraining, Relabel, Task
from fedrela.edge.engines.pool import EnginePool
from fedrela.edge.owner import disclosure
from fedrela.edge.owner.settings import DeviceSettings, Event
from fedrela.edge.secure.requirement import PrivacyRequirement
from fedrela.edge.training.examples import Examples
from tests.edge.conftest import some_examples
from tests.edge.secure.conftest import secure_task
from tests.edge.secure.group_coordinator import GroupCoordinator
from tests.edge.secure.test_turn import WHOLE_TURN

COUNTS = ((97, 53, 31), (31, 53, 97))
TASK = secure_task(
    rounds=1,
    local=LocalTraining(epochs=1, batch_size=16),
    relabel=Relabel(start=1, threshold_percent=40.0),
    local_evaluation=True,
)
OWNER = DeviceSettings(holdout_fraction=0.4, allow_evaluation=True)


def labeled(counts: tuple[int, int, int]) -> Examples:
    """The same pixels whatever the labels are."""
    pixels = some_examples(sum(counts)).x
    return Examples(pixels, np.repeat(np.arange(3), counts).astype(np.int64))


@pytest.fixture(scope="module")
def sessions(small_bundle: Bundle) -> list[list[tuple[str, str, bytes]]]:
    """All requests of two devices that differ in their labels alone."""
    seen = []
    for counts in COUNTS:
        with GroupCoordinator(small_bundle, TASK) as coordinator:
            client = coordinator.device(labeled(counts), settings=OWNER, pool=EnginePool())
            assert client.run_once().kind == "uploaded"
            assert coordinator.told() == WHOLE_TURN
            seen.append(list(coordinator.requests))
    return seen


def shape(value: object) -> object:
    """A message without what is random or hidden in it: keys, signatures, boxes and shares are so many digits."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value]
    return re.sub(r"[0-9a-f]{32,}", lambda digits: f"<{len(digits[0])}>", value) if isinstance(value, str) else value


def visible(request: tuple[str, str, bytes]) -> tuple[str, str, object]:
    """A request without its noise."""
    method, path, body = request
    if path.endswith("/update"):
        header = {name: shape(value) for name, value in tensors.read_metadata(body).items()}
        return method, path, (header, {name: array.shape for name, array in tensors.read(body).items()}, len(body))
    return method, path, shape(json.loads(body)) if body else None


def test_other_labels_change_nothing_that_can_be_read(sessions: list[list[tuple[str, str, bytes]]]) -> None:
    # How often a device asks whether it is its turn depends on how quick the others are.
    one, other = ([request for request, _ in groupby(map(visible, requests))] for requests in sessions)
    assert one == other


def test_no_count_of_labels_or_examples_is_sent(sessions: list[list[tuple[str, str, bytes]]]) -> None:
    for counts, requests in zip(COUNTS, sessions, strict=True):
        words = json.dumps([visible(request) for request in requests])
        for count in (*counts, sum(counts)):
            assert not re.search(rf"(?<![\w.\-]){count}(?![\w.\-])", words), count
        for word in ("label", "class", "count", "examples", "relabel"):
            assert word not in words.lower(), word


def test_messages_have_only_the_fields_of_the_protocol(sessions: list[list[tuple[str, str, bytes]]]) -> None:
    known = {
        "devices": wire.EnrollRequest, "check-ins": wire.CheckIn, "keys": messages.SecureKeys,
        "shares": messages.SecureShares, "agreement": messages.SecureAgreement, "reveal": messages.SecureReveal,
    }  # fmt: skip
    for _, path, body in (request for request in sessions[0] if request[2]):
        kind = path.rsplit("/", 1)[1]
        if kind == "update":
            assert set(tensors.read(body)) == {"masked"}
            assert set(tensors.read_metadata(body)) == {
                "protocol", "encoding", "session", "senders_sha256", "signature"
            }  # fmt: skip
        else:
            assert set(json.loads(body)) <= {field.name for field in fields(known[kind])}


def test_masked_updates_of_opposite_labels_look_like_noise(sessions: list[list[tuple[str, str, bytes]]]) -> None:
    """Few words here: `tests/core/secure/test_pads.py` has the statistics of many."""
    one, two = (
        next(tensors.read(body)["masked"].view(np.uint32) for _, path, body in requests if path.endswith("/update"))
        for requests in sessions
    )
    for words in (one, two):
        assert words.max() > 2**31 > words.min()
        assert len(set((words >> 24).tolist())) > len(words) // 2
    assert not np.array_equal(one, two)


def test_the_owner_is_shown_that_the_update_was_masked(small_bundle: Bundle) -> None:
    with GroupCoordinator(small_bundle, TASK) as coordinator:
        client = coordinator.device(labeled(COUNTS[0]))
        client.run_once()
    shown = disclosure.render(disclosure.describe(client.store))
    assert disclosure.MASKED in shown
    for kind in ("keys", "shares", "agreement", "reveal"):
        assert disclosure.MESSAGES[kind] in shown
    assert "the weight change" not in shown


PLAIN = replace(TASK, privacy=replace(TASK.privacy, secure="none"))


@pytest.mark.parametrize(
    ("task", "required", "reason"),
    [(PLAIN, 5, "could read this device's updates"), (TASK, 7, "as few as 6 devices, and .* requires 7")],
)
def test_a_device_whose_owner_requires_more_does_nothing_for_the_task(
    small_bundle: Bundle, task: Task, required: int, reason: str
) -> None:
    events: list[Event] = []
    settings = DeviceSettings(privacy=PrivacyRequirement("peers", required))
    with GroupCoordinator(small_bundle, task) as coordinator:
        client = coordinator.device(labeled(COUNTS[0]), settings=settings, on_event=events.append)
        outcome = client.run_once()
        assert (outcome.kind, outcome.reason) == ("dropped", "not-eligible")
        assert coordinator.told() == ["failure"]
        assert len([path for _, path, _ in coordinator.requests if "/blobs/" in path]) == 1  # the task's settings
    assert re.search(reason, events[-1].detail)


def test_a_requirement_that_the_task_meets_stands_in_nobodys_way(small_bundle: Bundle) -> None:
    settings = DeviceSettings(privacy=PrivacyRequirement("peers", 6))
    with GroupCoordinator(small_bundle, TASK) as coordinator:
        assert coordinator.device(labeled(COUNTS[0]), settings=settings).run_once().kind == "uploaded"
