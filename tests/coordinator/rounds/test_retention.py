"""What goes by itself: everything that says who a forgotten device was, and the single assignments of old rounds."""

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from fedrela.coordinator.rounds import housekeeping, retention
from fedrela.coordinator.storage import schema
from tests.coordinator import fleet
from tests.coordinator.conftest import House, house_with, settings_for

ONE = fleet.body(fleet.change(1.0))
DAY = 86400.0


def everything(house: House) -> str:
    """All rows of all tables."""
    with house.coordinator.store.read() as view:
        return repr([view.execute(sa.select(table)).all() for table in schema.metadata.sorted_tables])


def files(house: House) -> bytes:
    """Every byte in the data folder, names included."""
    paths = [path for path in house.settings.data_folder.rglob("*") if path.is_file()]
    return b"".join(str(path).encode() + path.read_bytes() for path in paths)


def names_of(house: House, device: fleet.Device) -> list[str]:
    """What identifies a device: its id, its key and the hash of its token."""
    table = schema.devices
    with house.coordinator.store.read() as view:
        row = view.execute(sa.select(table).where(table.c.id == device.device_id)).one()
    return [row.id, row.public_key, row.token_hash]


def counts(house: House, task_id: str) -> list[dict[str, Any]]:
    """What the history says of a task's rounds."""
    return house.operator.rounds(task_id)


def test_nothing_says_who_a_device_was_that_left(any_house: House) -> None:
    task_id = any_house.publish(3, goal=1)
    stays, leaves = any_house.devices(2)
    leaves.upload(leaves.join(), ONE)
    names = names_of(any_house, leaves)
    leaves.join()
    before = counts(any_house, task_id)
    assert all(name in everything(any_house) for name in names)
    assert any_house.http.delete("/v1/devices/self", auth=leaves.auth).status_code == 204
    assert not any(name in everything(any_house) for name in names)
    after = counts(any_house, task_id)
    assert [(record["assignments"], record["updates"]) for record in after] == [(1, 1), (1, 0)]
    assert after[0] == before[0]
    assert after[1]["failures"] == {"revoked": 1}
    assert after[1]["open"] == 0
    assert any_house.http.delete("/v1/devices/self", auth=leaves.auth).status_code == 401
    assert [device["device_id"] for device in any_house.operator.call("GET", "/devices")] == [stays.device_id]
    stays.upload(stays.join(), ONE)  # the round goes on
    assert any_house.operator.task(task_id)["committed_rounds"] == 2


def test_the_files_hold_nothing_of_it_either(house: House) -> None:
    house.publish(2, goal=1)
    (leaves,) = house.devices(1)
    leaves.upload(leaves.join(), ONE)
    names = names_of(house, leaves)
    assert all(name.encode() in files(house) for name in names)
    assert house.http.delete("/v1/devices/self", auth=leaves.auth).status_code == 204
    housekeeping.run_housekeeping(house.coordinator)
    assert [name for name in names if name.encode() in files(house)] == []


def test_an_update_of_a_device_that_leaves_counts_all_the_same(house: House) -> None:
    task_id = house.publish(1, goal=2)
    leaves, stays = house.devices(2)
    assert leaves.upload(leaves.join(), ONE).status_code == 200
    house.http.delete("/v1/devices/self", auth=leaves.auth)
    stays.upload(stays.join(), ONE)
    assert house.operator.task(task_id)["status"] == "finished"
    assert house.operator.rounds(task_id)[0]["updates"] == 2


def test_devices_that_were_revoked_or_silent_for_too_long_are_forgotten_and_others_are_not(
    tmp_path: Path, bundle_folder: Path
) -> None:
    with house_with(settings_for(tmp_path / "data", retention_days=30), bundle_folder) as house:
        link = house.operator.link(4)
        silent, revoked, speaks, busy = (fleet.enroll(house.http, link) for _ in range(4))
        names = {device.device_id: names_of(house, device) for device in (silent, revoked, speaks, busy)}
        house.operator.call("DELETE", f"/devices/{revoked.device_id}")
        house.clock(20 * DAY)
        speaks.check_in()
        house.clock(29 * DAY)
        assert all(name in everything(house) for known in names.values() for name in known)
        house.publish(1, goal=1, compute_lease_seconds=5 * DAY)
        busy.join()
        house.clock(31 * DAY)
        left = everything(house)
        for device, is_known in ((silent, False), (revoked, False), (speaks, True), (busy, True)):
            assert [name in left for name in names[device.device_id]] == [is_known] * 3
        assert house.operator.call("GET", "/tokens") == []  # its links are over for as long
        house.clock(100 * DAY)
        assert not any(name in everything(house) for known in names.values() for name in known)


def test_without_a_retention_time_nobody_is_forgotten(tmp_path: Path, bundle_folder: Path) -> None:
    with house_with(settings_for(tmp_path / "data", retention_days=0), bundle_folder) as house:
        (device,) = house.devices(1)
        house.clock(10_000 * DAY)
        assert device.device_id in everything(house)


def test_being_heard_of_is_stored_once_a_day(house: House) -> None:
    (device,) = house.devices(1)

    def seen() -> float:
        with house.coordinator.store.read() as view:
            seen_at = view.scalar(sa.select(schema.devices.c.seen_at).where(schema.devices.c.id == device.device_id))
            assert seen_at is not None
            return float(seen_at)

    for now, stored in ((100.0, 0.0), (DAY + 1, DAY + 1), (DAY + 500, DAY + 1), (3 * DAY, 3 * DAY)):
        house.clock(now)
        device.check_in()
        assert seen() == stored


def test_assignments_of_old_rounds_become_counts_and_the_history_says_the_same(
    any_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "NEWEST_ASSIGNMENTS", 3)
    monkeypatch.setattr(retention, "_AT_ONCE", 2)
    task_id = any_house.publish(20, goal=2, over_selection=1.5)
    devices = any_house.devices(3)
    for number in range(6):
        any_house.clock(float(number))
        first, second, third = (device.join() for device in devices)
        devices[0].upload(first, ONE)
        if number % 2:
            devices[2].fail(third)
        devices[1].upload(second, ONE)
    before = counts(any_house, task_id)
    rows_before = assignment_count(any_house)
    any_house.clock(retention.FOLD_SECONDS / 2)
    assert assignment_count(any_house) == rows_before == 18
    any_house.clock(retention.FOLD_SECONDS * 2)
    assert assignment_count(any_house) <= 4
    assert counts(any_house, task_id) == before
    assert any_house.operator.rounds(task_id)[0]["assignments"] == 3
    devices[0].upload(devices[0].join(), ONE)
    devices[1].upload(devices[1].join(), ONE)
    assert any_house.operator.task(task_id)["committed_rounds"] == 7


def test_what_is_open_or_waits_to_be_counted_is_never_folded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "NEWEST_ASSIGNMENTS", 1)
    task_id = house.publish(1, goal=3, compute_lease_seconds=9000.0, deadline_seconds=9000.0)
    devices = house.devices(3)
    held = [device.join() for device in devices]
    for number, (device, assignment) in enumerate(zip(devices[:2], held, strict=False)):
        house.clock(float(number))
        device.upload(assignment, ONE)
    house.clock(5000.0)
    assert assignment_count(house) == 3
    assert devices[0].upload(held[0], ONE).json()["duplicate"]
    devices[2].upload(held[2], ONE)
    assert house.operator.task(task_id)["status"] == "finished"
    assert house.operator.rounds(task_id)[0]["updates"] == 3


def assignment_count(house: House) -> int:
    """Rows of the table."""
    with house.coordinator.store.read() as view:
        return int(view.scalar(sa.select(sa.func.count()).select_from(schema.assignments)) or 0)
