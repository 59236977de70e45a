"""Devices and the coordinator as they are: the same model as in plain rounds, and nothing to read of one device."""

import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from fedrela.core.bundle import Bundle
from fedrela.core.privacy import Privacy
from fedrela.core.task import Rounds
from fedrela.core.wire import Assignment
from fedrela.edge.client import DeviceClient
from fedrela.edge.owner.settings import Outcome
from fedrela.edge.secure import vector
from tests.edge.conftest import some_examples
from tests.edge.live import LiveCoordinator, device
from tests.edge.secure.conftest import MEMBERS, secure_task
from tests.patience import PATIENCE_SECONDS

ROUNDS = 2
TASK = secure_task(
    rounds=ROUNDS,
    round=Rounds(goal=MEMBERS, minimum=5, retry_after_seconds=0.05, deadline_seconds=60),
    privacy=Privacy("peers", MEMBERS, 5, gather_seconds=60.0, phase_seconds=60.0, clipped_share=0.1),
)


def members(live: LiveCoordinator) -> list[DeviceClient]:
    """Six devices that ask more often than they are told to."""

    def hurry(seconds: float) -> None:
        time.sleep(min(seconds, 0.02))

    return [device(live, number, some_examples(30, seed=number), sleep=hurry) for number in range(MEMBERS)]


def run(clients: list[DeviceClient], live: LiveCoordinator, task_id: str, rounds: int = ROUNDS) -> list[Outcome]:
    """Let all devices work at once until the task is over; every outcome that was no wait."""
    outcomes: list[Outcome] = []

    def work(client: DeviceClient) -> None:
        while live.committed(task_id) < rounds:
            outcome = client.run_once()
            if outcome.kind == "waiting":
                client.stop.wait(0.05)
            else:
                outcomes.append(outcome)

    threads = [threading.Thread(target=work, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive(), "a device did not come to an end"
    return outcomes


def test_devices_in_a_group_make_the_model_that_they_make_in_plain_rounds(
    small_bundle: Bundle, live: LiveCoordinator
) -> None:
    models = []
    for task in (TASK, replace(TASK, privacy=Privacy())):
        task_id = live.publish(small_bundle, task)
        outcomes = run(members(live), live, task_id)
        assert [outcome.kind for outcome in outcomes] == ["uploaded"] * (MEMBERS * ROUNDS)
        sha256 = live.rounds(task_id)[-1]["checkpoint_sha256"]
        models.append(live.weights(sha256, small_bundle))
    # Every coordinate of a sum is off by less than one step per member; the second round starts from such a model.
    step = TASK.privacy.clip_norm * 2.0 ** (4 - 30)
    for name, secure in models[0].items():
        assert np.abs(secure - models[1][name]).max() < 20 * step, name


def test_what_the_coordinator_holds_of_an_open_group_is_noise(
    small_bundle: Bundle, live: LiveCoordinator, tmp_path: Path
) -> None:
    task_id = live.publish(small_bundle, replace(TASK, rounds=1))
    clients = members(live)
    stored: list[bytes] = []
    vectors: list[bytes] = []
    for client in clients:
        watch(client, vectors)
    send = clients[0].api.secure

    def look(assignment: Assignment, kind: str, message: object) -> None:
        if kind == "reveal":
            stored.append(b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()))
        send(assignment, kind, message)

    clients[0].api.secure = look  # type: ignore[method-assign]
    run(clients, live, task_id, rounds=1)
    assert len(vectors) == MEMBERS
    assert len(stored) == 1
    for client in clients:
        masked = client.store.get("last/update")
        assert masked is not None
        assert masked[-64:] in stored[0], "the masked update was looked for where it lies"
    assert not any(words in stored[0] for words in vectors)


def watch(client: DeviceClient, vectors: list[bytes]) -> None:
    """Note the first words of what a device hides."""
    put = client.store.put

    def keep(key: str, body: bytes | bytearray) -> None:
        put(key, body)
        if key == "assignment/update":
            vectors.append(vector.vector_from(bytes(body))[:16].tobytes())

    client.store.put = keep  # type: ignore[method-assign]
