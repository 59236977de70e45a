"""Disk full, database locked, blobs missing, damaged or old: clear answers, no half-commit, and service goes on."""

import errno
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from fedrela.conformance.files import PUBLISHER
from fedrela.coordinator.aggregation import due_rounds
from fedrela.coordinator.rounds import housekeeping
from fedrela.coordinator.storage import engines
from fedrela.coordinator.storage.blobs import FolderBlobs
from fedrela.core import signing
from fedrela.core.errors import Unavailable
from tests.coordinator import fleet
from tests.coordinator.api.test_bad_input import check_problem
from tests.coordinator.conftest import House, house_with, settings_for

ONE = fleet.body(fleet.change(1.0))


def blob_path(house: House, name: str) -> Path:
    """Where a blob lies on disk."""
    return house.settings.data_folder / "blobs" / name


def test_a_full_disk_is_a_503_and_nothing_is_counted(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    task_id = house.publish(1, goal=1)
    (device,) = house.devices(1)
    assignment = device.join()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        problem = check_problem(device.upload(assignment, ONE), 503, "unavailable")
        assert "No space left" in problem["detail"]
    assert house.operator.task(task_id)["reported"] == 0
    assert [blob.name for blob in house.coordinator.blobs.listing() if blob.name.startswith("private/")] == []
    assert device.upload(assignment, ONE).status_code == 200
    assert house.operator.task(task_id)["status"] == "finished"


def test_a_full_disk_below_a_real_database(house: House) -> None:
    """SQLite itself refuses: its file may not grow any more."""
    task_id = house.publish(1, goal=1)
    (device,) = house.devices(1)
    assignment = device.join()
    coordinator = house.coordinator
    with coordinator.store.read() as view:
        raw = view.connection.driver_connection
        assert raw is not None
    import sqlalchemy as sa

    def limit(connection: Any, record: Any, proxy: Any) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages}")

    sa.event.listen(coordinator.store._engine, "checkout", limit)
    big = house.operator.headers
    codes = set()
    for _ in range(400):
        answer = house.http.post(
            "/v1/admin/tokens", json={"population": "p" * 90, "publishers": [PUBLISHER]}, headers=big
        )
        codes.add(answer.status_code)
        if answer.status_code != 201:
            break
    sa.event.remove(coordinator.store._engine, "checkout", limit)
    assert "full" in check_problem(answer, 503, "unavailable")["detail"]
    assert codes == {201, 503}
    with coordinator.store.write() as tx:
        tx.connection.driver_connection.execute("PRAGMA max_page_count=1000000")  # type: ignore[union-attr]
    assert device.upload(assignment, ONE).status_code in (200, 503)
    coordinator.store._engine.dispose()
    assert device.upload(assignment, ONE).status_code == 200
    assert house.operator.task(task_id)["status"] == "finished"


def test_a_locked_database_is_a_503_and_service_resumes(
    tmp_path: Path, bundle_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.3)
    with house_with(settings_for(tmp_path / "data"), bundle_folder) as house:
        task_id = house.publish(1, goal=1)
        (device,) = house.devices(1)
        assignment = device.join()
        other = sqlite3.connect(tmp_path / "data" / "coordinator.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        answer = device.upload(assignment, ONE)
        problem = check_problem(answer, 503, "unavailable")
        assert "locked" in problem["detail"]
        assert answer.headers["retry-after"] == "2"
        assert house.operator.task(task_id)["reported"] == 0  # reading goes on
        other.execute("ROLLBACK")
        other.close()
        assert device.upload(assignment, ONE).status_code == 200
        assert house.operator.task(task_id)["status"] == "finished"


def test_a_damaged_or_missing_update_keeps_its_round_open_until_it_is_restored(house: House) -> None:
    task_id = house.publish(1, goal=2)
    one, two = house.devices(2)
    one.upload(one.join(), ONE)
    (name,) = [blob.name for blob in house.coordinator.blobs.listing() if blob.name.startswith("private/")]
    path = blob_path(house, name)
    body = path.read_bytes()
    path.write_bytes(body[:-1] + b"x")
    assert two.upload(two.join(), ONE).status_code == 200  # accepted all the same
    shown = house.operator.task(task_id)
    assert (shown["status"], shown["phase"]) == ("running", "aggregating")
    assert "does not match its hash" in shown["problem"]
    path.unlink()
    house.coordinator.retries.clear()
    housekeeping.run_housekeeping(house.coordinator)
    assert "missing" in house.operator.task(task_id)["problem"]
    path.write_bytes(body)
    house.coordinator.retries.clear()
    housekeeping.run_housekeeping(house.coordinator)
    shown = house.operator.task(task_id)
    assert (shown["status"], shown["problem"]) == ("finished", "")


def test_a_failed_aggregation_is_not_tried_again_at_once(house: House) -> None:
    task_id = house.publish(1, goal=1)
    (device,) = house.devices(1)
    assignment = device.join()
    checkpoint = blob_path(house, f"public/{assignment['checkpoint_sha256']}")
    checkpoint.rename(checkpoint.with_suffix(".away"))
    device.upload(assignment, ONE)
    assert "missing" in house.operator.task(task_id)["problem"]
    checkpoint.with_suffix(".away").rename(checkpoint)
    assert due_rounds.run_due(house.coordinator) == 0
    house.coordinator.retries.clear()
    assert due_rounds.run_due(house.coordinator) == 1


def test_a_damaged_public_blob_is_a_503_never_wrong_bytes(house: House) -> None:
    house.publish(1, goal=1)
    (device,) = house.devices(1)
    assignment = device.join()
    blob_path(house, f"public/{assignment['checkpoint_sha256']}").write_bytes(b"x" * assignment["checkpoint_bytes"])
    answer = house.http.get(f"/v1/blobs/{assignment['checkpoint_sha256']}", auth=device.auth)
    assert "damaged" in check_problem(answer, 503, "unavailable")["detail"]


def test_collection_lists_first_and_keeps_whatever_a_task_needs(house: House) -> None:
    task_id = house.publish(3, goal=1)
    (device,) = house.devices(1)
    device.upload(device.join(), ONE)
    assignment = device.join()
    orphan = house.coordinator.blobs
    orphan.put("public/" + signing.sha256(b"orphan"), b"orphan")
    orphan.put(f"private/a-gone.{signing.sha256(b'late')}", b"late")
    (house.settings.data_folder / "blobs" / "private" / ".crash.part").write_bytes(b"half")
    young = house.operator.call("POST", "/collect", json={"dry_run": True})
    assert young["names"] == []  # younger than an hour
    collection = {"dry_run": True, "min_age_seconds": 0}
    before = len(list(orphan.listing()))
    listed = house.operator.call("POST", "/collect", json=collection)
    assert len(listed["names"]) == 3
    assert len(list(orphan.listing())) == before
    gone = house.operator.call("POST", "/collect", json=collection | {"dry_run": False})
    assert gone["names"] == listed["names"]
    assert house.operator.call("POST", "/collect", json=collection)["names"] == []
    assert device.upload(assignment, ONE).status_code == 200  # everything that matters is still there
    assert house.operator.task(task_id)["committed_rounds"] == 2


def test_collection_keeps_only_the_newest_checkpoints_where_told_so(tmp_path: Path, bundle_folder: Path) -> None:
    with house_with(settings_for(tmp_path / "data", keep_checkpoints=1), bundle_folder) as house:
        task_id = house.publish(3, goal=1)
        (device,) = house.devices(1)
        for value in (1.0, 2.0, 3.0):
            device.upload(device.join(), fleet.body(fleet.change(value)))
        house.operator.call("POST", "/collect", json={"dry_run": False, "min_age_seconds": 0})
        names = {blob.name for blob in house.coordinator.blobs.listing()}
        still_there = [f"public/{record['checkpoint_sha256']}" in names for record in house.operator.rounds(task_id)]
        assert still_there == [False, False, True]
        assert f"public/{house.operator.task(task_id)['initial_checkpoint_sha256']}" in names


def test_an_unwritable_folder_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = FolderBlobs(tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(Unavailable, match="Permission denied"):
        blobs.put("public/" + signing.sha256(b"x"), b"x")


def test_readiness_says_when_the_database_is_gone(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    assert house.http.get("/readyz").json() == {"status": "ready"}
    assert house.http.get("/healthz").json() == {"status": "ok"}

    def gone(*_: object) -> int:
        raise Unavailable("the blob store can't do this now", remedy="mount it")

    monkeypatch.setattr(FolderBlobs, "size", gone)
    check_problem(house.http.get("/readyz"), 503, "unavailable")
