"""A coordinator is restored from a backup, or gets a new key: devices refuse the past, and go along with the future."""

import json
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from fedrela.coordinator.cli.operator_verbs import app
from fedrela.core import signing
from fedrela.core.bundle import Bundle
from fedrela.core.protocol import links
from fedrela.core.task import Relabel, Rounds
from fedrela.edge.client import DeviceClient, enroll
from fedrela.edge.conditions.eligibility import Conditions
from fedrela.edge.network.api import CoordinatorApi
from fedrela.edge.owner.settings import Event
from fedrela.edge.owner.status import describe
from fedrela.edge.storage.store import FolderStore
from tests.edge.conftest import some_examples
from tests.edge.live import ADMIN_KEY, SIGNING_KEY, coordinator, device, small_task
from tests.patience import PATIENCE_SECONDS

ROUNDS: dict[str, Any] = {
    "relabel": Relabel(enabled=False),
    "round": Rounds(goal=1, smallest_cohort=1, retry_after_seconds=0.05),
}


def verb(monkeypatch: pytest.MonkeyPatch, *words: str) -> dict[str, Any]:
    """What an operator's verb says as JSON."""
    monkeypatch.setenv("FEDRELA_ADMIN_KEY", ADMIN_KEY)
    monkeypatch.setenv("FEDRELA_SIGNING_KEY", SIGNING_KEY)
    done = CliRunner().invoke(app, [*words, "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    answer: dict[str, Any] = json.loads(done.output)
    return answer


def again(store: FolderStore, url: str, events: list[Event]) -> DeviceClient:
    """The same device once more, where its coordinator is now."""
    identity = json.loads(store.get("identity.json") or b"")
    store.put("identity.json", json.dumps(identity | {"url": url}).encode())
    api = CoordinatorApi(httpx.Client(timeout=PATIENCE_SECONDS, trust_env=False))
    examples = some_examples()
    return DeviceClient(api, store, lambda manifest: examples, on_event=events.append)


def test_a_coordinator_restored_from_a_backup_five_rounds_old(
    tmp_path: Path, small_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, backup, store = tmp_path / "data", tmp_path / "backup", FolderStore(tmp_path / "state")
    events: list[Event] = []
    with coordinator(data) as live:
        task_id = live.publish(small_bundle, small_task(rounds=12, **ROUNDS))
        client = device(live, 1, some_examples(), store=store)
        rounds(client, 3)
        live.wait(lambda: live.committed(task_id) == 3)
    shutil.copytree(data, backup)
    with coordinator(data) as live:
        rounds(again(store, live.url, events), 5)
        live.wait(lambda: live.committed(task_id) == 8)
    shutil.rmtree(data)
    shutil.copytree(backup, data)

    with coordinator(data) as live:  # it hands out round 4 again, and doesn't say that anything has happened
        outcome = again(store, live.url, events).run_once()
        assert (outcome.kind, outcome.reason) == ("dropped", "integrity-failed")
        assert "round 4" in events[-1].detail
        assert "new epoch" in events[-1].detail
    assert describe(store, "", Conditions())["epoch"] == 1

    shutil.rmtree(data)
    shutil.copytree(backup, data)
    assert verb(monkeypatch, "coordinator", "new-epoch", "--data", str(data)) == {"epoch": 2}
    events.clear()
    with coordinator(data) as live:
        rounds(again(store, live.url, events), 1)
        live.wait(lambda: live.committed(task_id) == 4)
    assert [event.kind for event in events].count("new-epoch") == 1
    standing = describe(store, "", Conditions())
    assert standing["epoch"] == 2
    assert standing["epoch_since"]


def rounds(client: DeviceClient, count: int) -> None:
    """Take part in so many rounds."""
    uploads = 0
    for _ in range(2000):
        uploads += client.run_once().kind == "uploaded"
        if uploads == count:
            return
        client.sleep(0.01)
    raise AssertionError("the rounds did not come")


def test_a_new_key_is_followed_by_devices_and_by_links_of_the_old_one(
    tmp_path: Path, small_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, store = tmp_path / "data", FolderStore(tmp_path / "state")
    events: list[Event] = []
    with coordinator(data) as live:
        task_id = live.publish(small_bundle, small_task(rounds=4, **ROUNDS))
        rounds(device(live, 1, some_examples(), store=store), 1)
        live.wait(lambda: live.committed(task_id) == 1)
        old_link = links.parse(live.link())
    rotated = verb(monkeypatch, "key", "rotate", "--data", str(data))
    present = Path(rotated["path"]).read_text().strip()
    assert Path(rotated["path"]).stat().st_mode & 0o777 == 0o600
    assert rotated["public_key"] == signing.public_key(present)

    with coordinator(data, present) as live:
        client = again(store, live.url, events)
        rounds(client, 1)
        live.wait(lambda: live.committed(task_id) == 2)
        assert client.identity.coordinator_public_key == rotated["public_key"]
        assert [event.kind for event in events].count("new-key") == 1
        standing = describe(store, "", Conditions())
        assert standing["coordinator_key"] == rotated["public_key"]
        assert standing["key_since"]
        later = FolderStore(tmp_path / "later")
        api = CoordinatorApi(httpx.Client(timeout=PATIENCE_SECONDS, trust_env=False))
        moved = links.Link(live.url, old_link.token, old_link.coordinator)
        assert enroll(api, later, moved).coordinator_public_key == rotated["public_key"]
        assert links.parse(live.link()).coordinator == signing.fingerprint(rotated["public_key"])
