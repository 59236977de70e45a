"""Nothing of an ended round stays: at once where the coordinator lives, by a sweep where it was killed."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from fedrela.coordinator.context import Coordinator
from fedrela.coordinator.rounds import service, tasks
from fedrela.coordinator.rounds.uploads import StoredUpdate, Upload
from fedrela.coordinator.storage import schema, sweeping
from fedrela.coordinator.storage.sweeping import Sweep
from fedrela.core import signing
from fedrela.core.task import Aggregation, Relabel, Rounds, Task
from tests.coordinator import fleet
from tests.coordinator.api.test_bad_input import check_problem, stored
from tests.coordinator.conftest import House, house_with, settings_for

ONE = fleet.body(fleet.change(1.0))


def replace_state(house: House, task_id: str, body: bytes) -> None:
    """Give a task another stored state of its server optimizer."""
    name = f"private/{task_id}.state.{signing.sha256(body)}"
    house.coordinator.blobs.put(name, body)
    with house.coordinator.store.write() as tx:
        tx.execute(sa.update(schema.tasks).where(schema.tasks.c.id == task_id).values(server_state=name))


def test_a_refused_update_is_deleted_at_once(house: House) -> None:
    """Over-selected, or a second body for an assignment."""
    house.publish(2, goal=2, over_selection=2.0)
    one, two, three = house.devices(3)
    first, second, third = one.join(), two.join(), three.join()
    assert one.upload(first, ONE).status_code == 200
    check_problem(one.upload(first, fleet.body(fleet.change(2.0))), 409, "already-reported")
    assert len(stored(house)) == 1
    assert two.upload(second, ONE).status_code == 200  # closes the round
    check_problem(three.upload(third, ONE), 409, "round-closed")
    assert stored(house) == []


def test_an_update_whose_task_ends_while_it_is_stored_is_deleted_at_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id = house.publish(1, goal=2)
    (device,) = house.devices(1)
    assignment, store_update = device.join(), service.store_update

    def store_then_cancel(coordinator: Coordinator, upload: Upload, body: bytes) -> StoredUpdate:
        stored_update = store_update(coordinator, upload, body)
        tasks.cancel(coordinator, task_id, 0.0)
        assert len(stored(house)) == 1
        return stored_update

    monkeypatch.setattr(service, "store_update", store_then_cancel)
    check_problem(device.upload(assignment, ONE), 409, "round-closed")
    assert stored(house) == []


@pytest.mark.parametrize("ending", ["cancel", "rollback"])
def test_nothing_stays_of_a_round_that_an_operator_ends(house: House, ending: str) -> None:
    settings = Aggregation(server_optimizer="fedadam")
    rounds = Rounds(goal=2, smallest_cohort=1)
    task = Task("t", 5, round=rounds, relabel=Relabel(enabled=False), aggregation=settings)
    task_id = house.operator.publish(house.bundle, task)
    one, two = house.devices(2)
    for device in (one, two):
        assert device.upload(device.join(), ONE).status_code == 200
    assert one.upload(one.join(), ONE).status_code == 200
    assert len(stored(house)) == 2  # the state and an update
    if ending == "cancel":
        house.operator.call("POST", f"/tasks/{task_id}/cancel")
    else:
        house.operator.call("POST", f"/tasks/{task_id}/rollback", json={"to_round": 0})
    assert stored(house) == []


def test_one_state_is_kept_while_a_task_runs_and_none_after_it(house: House) -> None:
    settings = Aggregation(server_optimizer="fedyogi")
    rounds = Rounds(goal=1, smallest_cohort=1)
    task = Task("t", 4, round=rounds, relabel=Relabel(enabled=False), aggregation=settings)
    task_id = house.operator.publish(house.bundle, task)
    (device,) = house.devices(1)
    for number in range(1, 5):
        assert device.upload(device.join(), fleet.body(fleet.change(float(number)))).status_code == 200
        assert len(stored(house)) == (1 if number < 4 else 0), number
    assert house.operator.task(task_id)["status"] == "finished"


@pytest.fixture(params=["folder", "s3"])
def any_blobs(
    request: pytest.FixtureRequest, tmp_path: Path, bundle_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[House]:
    """A coordinator on each kind of blob store."""
    settings = settings_for(tmp_path / "data")
    if request.param == "s3":
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        base, _, query = str(request.getfixturevalue("s3_url")).partition("?")
        settings = settings_for(tmp_path / "data", blobs_url=f"{base}/{tmp_path.name}?{query}")
    with house_with(settings, bundle_folder) as house:
        yield house


def test_a_sweep_takes_what_a_kill_left_and_nothing_that_is_needed(
    any_blobs: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house, blobs = any_blobs, any_blobs.coordinator.blobs
    settings = Aggregation(server_optimizer="fedadam")
    rounds = Rounds(goal=2, smallest_cohort=1)
    task = Task("t", 5, round=rounds, relabel=Relabel(enabled=False), aggregation=settings)
    task_id = house.operator.publish(house.bundle, task)
    one, two = house.devices(2)
    first = one.join()
    for device, assignment in ((one, first), (two, two.join())):
        device.upload(assignment, ONE)
    one.upload(one.join(), ONE)
    needed = {blob.name for blob in blobs.listing()}
    left = [
        f"private/{first['assignment_id']}.{signing.sha256(ONE)}",  # its round is committed
        f"private/{first['assignment_id']}.{signing.sha256(b'refused')}",
        f"private/a-unknown.{signing.sha256(b'never counted')}",
        f"private/{task_id}.state.{signing.sha256(b'old state')}",
        "private/.00ff.part",
        "public/.00ff.part",
    ]
    for name in left:
        blobs.put(name, b"left behind")
    sweep = Sweep(house.coordinator)
    assert sweep.go_on() == 0  # too young: it may be about to be counted
    monkeypatch.setattr(sweeping, "MIN_AGE_SECONDS", -60.0)
    assert sweep.go_on() == 0  # it rests
    assert Sweep(house.coordinator).go_on() == len(left)
    assert {blob.name for blob in blobs.listing()} == needed
    two.upload(two.join(), ONE)
    assert house.operator.task(task_id)["committed_rounds"] == 2


def test_a_pass_is_bounded_and_the_next_goes_on(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "MIN_AGE_SECONDS", -60.0)
    monkeypatch.setattr(sweeping, "BLOBS_PER_PASS", 3)
    for index in range(7):
        house.coordinator.blobs.put(f"private/a-{index}.{signing.sha256(b'x')}", b"x")
    sweep = Sweep(house.coordinator)
    passes = [sweep.go_on() for _ in range(4)]
    assert max(passes) <= 3
    assert sum(passes) == 7
    assert stored(house) == []


def test_a_file_of_a_killed_upload_is_swept_from_a_folder(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    part = house.settings.data_folder / "blobs" / "private" / ".0123456789abcdef.part"
    part.write_bytes(b"half")
    Sweep(house.coordinator).go_on()
    assert part.exists()
    long_ago = time.time() - 2 * sweeping.MIN_AGE_SECONDS
    os.utime(part, (long_ago, long_ago))
    assert Sweep(house.coordinator).go_on() == 1
    assert not part.exists()
