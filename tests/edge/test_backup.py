"""The manual's backup and restore: copied while it runs, put back, and its devices go on from there."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from fedrela.core.bundle import Bundle
from fedrela.core.errors import InvalidInput
from fedrela.edge.owner.settings import Event
from fedrela.edge.storage.store import FolderStore
from tests.edge.conftest import some_examples
from tests.edge.live import coordinator, device, small_task
from tests.edge.test_restored import ROUNDS, again, rounds, verb


def test_a_copy_made_while_it_runs_is_restored_and_devices_go_on(
    tmp_path: Path, small_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, copy, store = tmp_path / "data", tmp_path / "copy", FolderStore(tmp_path / "state")
    events: list[Event] = []
    with coordinator(data) as live:
        task_id = live.publish(small_bundle, small_task(rounds=12, **ROUNDS))
        client = device(live, 1, some_examples(), store=store)
        rounds(client, 2)
        live.wait(lambda: live.committed(task_id) == 2)
        model = live.admin.task(task_id)["checkpoint_sha256"]
        told = verb(monkeypatch, "coordinator", "backup", str(copy), "--data", str(data))
        assert told["bytes"] == sum(path.stat().st_size for path in copy.rglob("*") if path.is_file())
        rounds(client, 1)
    assert copy.stat().st_mode & 0o077 == 0
    shutil.rmtree(data)
    shutil.copytree(copy, data)
    assert verb(monkeypatch, "coordinator", "new-epoch", "--data", str(data)) == {"epoch": 2}
    with coordinator(data) as live:
        assert live.committed(task_id) == 2
        assert live.admin.task(task_id)["checkpoint_sha256"] == model
        live.admin.download(model)
        rounds(again(store, live.url, events), 2)
        live.wait(lambda: live.committed(task_id) == 4)


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"FEDRELA_DATABASE_URL": "postgresql://x@y/z"}, "pg_dump"),
        ({"FEDRELA_BLOBS_URL": "s3://bucket/prefix"}, "bucket"),
        ({}, "no database"),
    ],
)
def test_what_is_no_folder_is_backed_up_by_its_own_means(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, Any], words: str
) -> None:
    if "FEDRELA_BLOBS_URL" in environment:
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "coordinator.sqlite").write_bytes(b"")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InvalidInput, match=words):
        verb(monkeypatch, "coordinator", "backup", str(tmp_path / "copy"), "--data", str(tmp_path / "data"))


def test_a_folder_that_holds_something_is_left_alone(
    tmp_path: Path, small_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    with coordinator(tmp_path / "data"):
        pass
    with pytest.raises(InvalidInput, match="holds something already"):
        verb(monkeypatch, "coordinator", "backup", str(tmp_path), "--data", str(tmp_path / "data"))
