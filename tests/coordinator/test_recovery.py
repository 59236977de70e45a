"""Real processes: SIGKILL at random instants, and four workers on one database. The counted-out version is
`python -m benchmarks.coordinator_kills --kills 200`.
"""

import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from benchmarks import coordinator_kills
from fedrela.core.task import Relabel, Rounds, Task
from tests.coordinator import fleet
from tests.coordinator.conftest import KEY, Server, wait_for
from tests.patience import PATIENCE_SECONDS


def test_sigkill_at_random_instants_changes_no_bit_and_loses_no_update() -> None:
    calm, killed = coordinator_kills.compare(2, 8, seed=7)
    assert coordinator_kills.faults(calm, killed, 2) == []
    assert killed.kills >= 4


def test_a_round_that_was_full_when_the_coordinator_died_is_committed_at_the_next_start(
    server: Server, bundle_folder: Path
) -> None:
    server.start()
    with server.http() as http:
        operator = fleet.Operator(http, KEY)
        task_id = operator.publish(
            bundle_folder, Task("crash", 1, round=Rounds(goal=2, smallest_cohort=2), relabel=Relabel(enabled=False))
        )
        token = operator.link(2)
        one, two = fleet.enroll(http, token), fleet.enroll(http, token)
        first, second = one.join(), two.join()
        assert one.upload(first, fleet.body(fleet.change(1.0))).status_code == 200
        server.kill()
        server.start()
        assert two.upload(second, fleet.body(fleet.change(3.0))).status_code == 200
        server.kill()  # perhaps before, perhaps during, perhaps after the aggregation
        server.start()
        wait_for(lambda: operator.task(task_id)["status"] == "finished")
        assert operator.weights(operator.task(task_id)["checkpoint_sha256"])["b"].tolist() == [2.0, 2.0]
        assert one.upload(first, fleet.body(fleet.change(1.0))).json()["duplicate"] is True


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_four_workers_give_the_result_of_one(
    server: Server, bundle_folder: Path, database: str, request: pytest.FixtureRequest
) -> None:
    if database == "postgresql":
        make: Callable[[], str] = request.getfixturevalue("new_database")
        server.database_url = make()
    server.workers = 4
    server.start()
    devices, rounds = 8, 2
    with server.http() as http:
        operator = fleet.Operator(http, KEY)
        settings = Rounds(goal=devices, retry_after_seconds=0.05)
        task_id = operator.publish(bundle_folder, Task("many", rounds, round=settings, relabel=Relabel(enabled=False)))
        token = operator.link(devices)
        failures: list[str] = []
        threads = [
            threading.Thread(target=take_part, args=(server.url, token, index, failures)) for index in range(devices)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
        assert failures == []
        shown = operator.task(task_id)
        assert (shown["status"], shown["committed_rounds"]) == ("finished", rounds)
        assert [record["updates"] for record in operator.rounds(task_id)] == [devices] * rounds
        # Device i sends i + 1 with i + 1 examples: the mean is sum of squares / sum, in every round.
        numbers = range(1, devices + 1)
        expected = rounds * sum(n * n for n in numbers) / sum(numbers)
        weights = operator.weights(shown["checkpoint_sha256"])
        assert abs(weights["b"] - expected).max() < 1e-5


def take_part(url: str, token: str, index: int, failures: list[str]) -> None:
    """One device until its task is finished; every request on a connection of its own, so that all workers get some."""
    try:
        with httpx.Client(base_url=url, headers={"Connection": "close"}, timeout=PATIENCE_SECONDS) as http:
            device = fleet.enroll(http, token)
            while True:
                answer = device.check_in()
                if answer["wait"]:
                    if answer["wait"]["reason"] == "finished":
                        return
                    threading.Event().wait(0.05)
                    continue
                sent = device.upload(answer["assignment"], fleet.body(fleet.change(float(index + 1)), index + 1))
                assert sent.status_code == 200, sent.text
    except BaseException as failure:
        failures.append(repr(failure))
