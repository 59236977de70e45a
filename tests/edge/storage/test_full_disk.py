"""A full disk, which /dev/full is to whoever writes: the device says so, keeps its turn, and goes on when it can."""

import io
from contextlib import suppress
from pathlib import Path

import pytest

from fedrela.core.bundle import Bundle
from fedrela.core.errors import Unavailable
from fedrela.core.task import LocalTraining, Relabel, Rounds
from fedrela.edge.client import Outcome
from fedrela.edge.owner.progress import Reporter
from fedrela.edge.owner.settings import DeviceSettings, Event
from fedrela.edge.storage import sent_log
from fedrela.edge.storage.sent_log import SentLog
from fedrela.edge.storage.store import FolderStore
from tests.edge.conftest import some_examples
from tests.edge.live import LiveCoordinator, device, small_task

FULL = Path("/dev/full")


def test_the_endless_device_waits_for_room_and_loses_nothing(
    live: LiveCoordinator, small_bundle: Bundle, tmp_path: Path
) -> None:
    """The log of what was sent, a checkpoint of the training and the status file, each in its turn."""
    task_id = live.publish(
        small_bundle,
        small_task(
            rounds=1, local=LocalTraining(epochs=2, batch_size=5), relabel=Relabel(enabled=False),
            round=Rounds(goal=1, smallest_cohort=1),
        ),
    )  # fmt: skip
    folder = tmp_path / "state"
    store, out, assigned, outcomes = FolderStore(folder), io.StringIO(), [], []
    client = device(live, 1, some_examples(), store=store, settings=DeviceSettings(checkpoint_steps=1))
    reporter = Reporter(store, as_json=False, live=False, out=out)
    log = folder / "log/sent.jsonl"
    log.unlink()  # which has the enrollment
    log.symlink_to(FULL)

    def on_event(event: Event) -> None:
        if event.kind == "assigned":
            assigned.append(event.round)
            (folder / "assignment/snapshot~").symlink_to(FULL)

    def on_outcome(outcome: Outcome) -> None:
        outcomes.append(outcome)
        (folder / "status.json~").symlink_to(FULL)
        reporter.outcome(outcome)
        log.unlink(missing_ok=len(outcomes) > 1)
        if outcome.kind == "uploaded":
            client.stop.set()

    client.on_event, client.sleep = on_event, lambda seconds: None
    client.run(on_outcome)
    assert [outcome.kind for outcome in outcomes] == ["waiting", "waiting", "uploaded"]
    assert "log/sent.jsonl can't be written (No space left on device)" in outcomes[0].reason
    assert "assignment/snapshot can't be written (No space left on device)" in outcomes[1].reason
    assert assigned == [1], "its turn was kept"
    assert out.getvalue().count("warning:") == 1, "said once"
    live.wait(lambda: live.committed(task_id) == 1)


def test_a_request_that_can_not_be_logged_is_not_sent_and_leaves_no_torn_line(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    log = SentLog(store)
    log.add(1.0, "GET", "/v1/keys", b"")
    whole = store.get(sent_log.LOG_KEY)
    (tmp_path / "log/sent.jsonl").rename(tmp_path / "log/kept")
    (tmp_path / "log/sent.jsonl").symlink_to(FULL)
    with pytest.raises(Unavailable, match="free some disk space"):
        log.add(2.0, "GET", "/v1/keys", b"")
    (tmp_path / "log/kept").rename(tmp_path / "log/sent.jsonl")
    assert store.get(sent_log.LOG_KEY) == whole
    log.add(3.0, "GET", "/v1/keys", b"")
    assert [line["at"] for line in log.lines()] == [1.0, 3.0]


def test_progress_that_goes_to_a_file_on_a_full_disk_ends_no_device(tmp_path: Path) -> None:
    for as_json in (True, False):
        out = FULL.open("w", buffering=1)
        with pytest.raises(OSError, match="No space"):
            out.write("to a full disk\n")
        reporter = Reporter(FolderStore(tmp_path), as_json=as_json, live=False, out=out)
        reporter.event(Event("paused", "t", 7))
        with suppress(OSError):
            out.close()
