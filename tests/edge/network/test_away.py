"""`DeviceClient.run` when nobody answers, somebody else does, or assignment after assignment fails."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fedrela.core.bundle import Bundle
from fedrela.core.errors import InvalidMessage, Refused, Unavailable
from fedrela.core.task import LocalTraining, Relabel, Rounds
from fedrela.edge.client import DeviceClient, Outcome
from fedrela.edge.storage import state
from fedrela.edge.training.faults import is_away
from tests.edge.conftest import some_examples
from tests.edge.live import LiveCoordinator, coordinator, device, small_task


@contextmanager
def stranger(status: int) -> Iterator[str]:
    """Somebody who answers everything with the same page, as the log-in of a network or a proxy without a backend."""

    class Page(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"<html>please log in</html>")

        do_GET = do_POST = do_PUT = answer  # noqa: N815

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def run_for(client: DeviceClient, seconds: float) -> list[Outcome]:
    """Run while so many virtual seconds pass; what happened."""
    seen: list[Outcome] = []
    passed = [0.0]

    def sleep(pause: float) -> None:
        passed[0] += pause
        if passed[0] > seconds:
            client.stop.set()

    client.sleep = sleep
    client.api.sleep = lambda pause: None
    client.run(seen.append)
    client.stop.clear()
    return seen


def test_a_coordinator_that_is_away_is_no_error_for_run(small_bundle: Bundle, tmp_path: Path) -> None:
    with coordinator(tmp_path) as live:
        live.publish(small_bundle, small_task(round=Rounds(goal=1, smallest_cohort=1)))
        client = device(live, 1, some_examples())
    with pytest.raises(Unavailable):
        client.run_once()
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if sum(waited) > 3600:
            client.stop.set()

    client.sleep = client.api.sleep = sleep
    client.run()
    assert sum(waited) > 3600
    assert max(waited) <= 300


@pytest.mark.parametrize("status", [200, 404, 302])
def test_somebody_elses_answers_cost_no_finished_update(
    live: LiveCoordinator, small_bundle: Bundle, status: int
) -> None:
    task_id = live.publish(
        small_bundle, small_task(rounds=1, relabel=Relabel(enabled=False), round=Rounds(goal=1, smallest_cohort=1))
    )
    client = device(live, 1, some_examples())
    held = client.check_in()
    assert isinstance(held, state.HeldAssignment)
    body = client.train(held)
    with stranger(status) as page:
        client.api.url = page
        outcomes = run_for(client, 200)
    assert {outcome.kind for outcome in outcomes} == {"waiting"}
    assert 5 <= len(outcomes) <= 20
    client.api.url = live.url
    assert client.run_once().kind == "uploaded"
    assert client.store.get("last/update") == body
    live.wait(lambda: live.committed(task_id) == 1)


def test_assignments_that_fail_are_tried_ever_less_often(live: LiveCoordinator, small_bundle: Bundle) -> None:
    """A device gets no second assignment in a round that it failed, but every task here fails it."""
    local = LocalTraining(epochs=40, hyperparameters={"lr": 1e38})
    for _ in range(4):
        live.publish(small_bundle, small_task(local=local, relabel=Relabel(enabled=False)))
    client, pauses = device(live, 1, some_examples(), uniform=lambda: 0.0, sleep=lambda pause: None), []

    def on_outcome(outcome: Outcome) -> None:
        pauses.extend([outcome.retry_after_seconds] * (outcome.kind == "dropped"))
        if len(pauses) == 4:
            client.stop.set()

    client.run(on_outcome)
    assert pauses == [1.0, 2.0, 4.0, 8.0]


def test_an_assignment_that_the_coordinator_refuses_is_dropped_and_the_next_one_taken(
    live: LiveCoordinator, small_bundle: Bundle
) -> None:
    first = live.publish(
        small_bundle, small_task(rounds=1, relabel=Relabel(enabled=False), round=Rounds(goal=1, smallest_cohort=1))
    )
    client = device(live, 1, some_examples())
    assert isinstance(client.check_in(), state.HeldAssignment)
    live.admin.request("POST", f"/tasks/{first}/cancel")
    second = live.publish(
        small_bundle, small_task(rounds=1, relabel=Relabel(enabled=False), round=Rounds(goal=1, smallest_cohort=1))
    )
    kinds = []
    for _ in range(20):
        kinds.append(client.run_once().kind)
        if kinds[-1] == "uploaded":
            break
    assert "dropped" in kinds
    assert kinds[-1] == "uploaded"
    live.wait(lambda: live.committed(second) == 1)


def test_who_counts_as_away() -> None:
    def refused(status: int, code: str) -> Refused:
        return Refused("no", remedy="none", status=status, code=code)

    for fault in (Unavailable("x", remedy="y"), InvalidMessage("x", remedy="y"), refused(404, "http-404")):
        assert is_away(fault)
    for fault in (refused(401, "unknown-token"), refused(409, "lease-expired")):
        assert not is_away(fault)
