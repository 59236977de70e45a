"""What goes wrong for one task stays within it: it is shown there and tried again, and every other task goes on."""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fedrela.coordinator.aggregation import global_model, reduction
from fedrela.coordinator.rounds import closing, housekeeping, isolation
from fedrela.core.errors import Unavailable
from fedrela.core.task import Aggregation, Relabel, Rounds, Task
from tests.coordinator import fleet
from tests.coordinator.conftest import House, Server

ONE = fleet.body(fleet.change(1.0))
MANY: dict[str, tuple[int, ...]] = {"w": (600, 1000)}  # 2.4 MB


def publish(operator: fleet.Operator, bundle: Path, name: str, goal: int = 1, **aggregation: Any) -> str:
    """A task with a population of its own."""
    rounds = Rounds(goal=goal, smallest_cohort=1)
    settings = Aggregation(**aggregation)
    task = Task(name, 3, population=name, round=rounds, relabel=Relabel(enabled=False), aggregation=settings)
    return operator.publish(bundle, task)


def one_round(house: House, name: str) -> None:
    """A device's update closes the round of that population's task."""
    (device,) = house.devices(1, name)
    assert device.upload(device.join(), ONE).status_code == 200


@pytest.fixture
def no_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TMPDIR was there when the process began, and is gone."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))


@pytest.mark.usefixtures("no_temporary_folder")
def test_a_missing_tmpdir_stops_its_own_task_only(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Case 30: tasks behind the one that failed were never aggregated."""
    broken = publish(house.operator, house.bundle, "broken", rule="median")
    others = [publish(house.operator, house.bundle, f"other-{index}") for index in range(6)]
    for name in ("broken", *(f"other-{index}" for index in range(6))):
        one_round(house, name)
    shown = house.operator.task(broken)
    assert (shown["phase"], shown["committed_rounds"]) == ("aggregating", 0)
    assert "TMPDIR" in shown["problem"]
    assert [house.operator.task(other)["committed_rounds"] for other in others] == [1] * 6
    monkeypatch.setattr(tempfile, "tempdir", None)
    house.coordinator.retries.clear()
    housekeeping.run_housekeeping(house.coordinator)
    shown = house.operator.task(broken)
    assert (shown["problem"], shown["committed_rounds"]) == ("", 1)


def test_an_error_that_nobody_foresaw_stays_within_its_task_too(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    broken, other = (publish(house.operator, house.bundle, name) for name in ("broken", "other"))
    aggregate, expire = global_model.aggregate, closing.expire_in_task

    def fail(coordinator: Any, task_id: str, *arguments: Any) -> Any:
        if task_id == broken:
            raise ZeroDivisionError("not foreseen")
        return aggregate(coordinator, task_id, *arguments)

    monkeypatch.setattr(global_model, "aggregate", fail)
    for name in ("broken", "other"):
        one_round(house, name)
    assert "ZeroDivisionError" in house.operator.task(broken)["problem"]
    assert house.operator.task(other)["committed_rounds"] == 1

    def fail_to_expire(coordinator: Any, task_id: str, now: float) -> None:
        if task_id == other:
            raise ZeroDivisionError("not foreseen")
        expire(coordinator, task_id, now)

    monkeypatch.setattr(closing, "expire_in_task", fail_to_expire)
    third = publish(house.operator, house.bundle, "third", goal=2)
    for name in ("other", "third"):
        (device,) = house.devices(1, name)
        device.join()
    house.clock(10_000)
    assert "leases and deadlines" in house.operator.task(other)["problem"]
    assert house.operator.task(third)["open"] == 0
    monkeypatch.setattr(closing, "expire_in_task", expire)
    house.coordinator.retries.clear()
    house.clock(20_000)
    assert house.operator.task(other)["open"] == 0


def test_pauses_grow_and_what_works_again_is_forgotten(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    task_id = publish(house.operator, house.bundle, "t")
    now = [time.monotonic()]  # from here on it stands still: the limits of requests go by it, too
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    pauses: list[float] = []
    for _ in range(8):
        with isolation.of_task(house.coordinator, task_id, "it can't be done"):
            raise Unavailable("no", remedy="wait")
        retry = house.coordinator.retries[(task_id, "it can't be done")]
        pauses.append(retry.at - now[0])
        assert not isolation.is_due(house.coordinator, task_id, "it can't be done")
        assert isolation.is_due(house.coordinator, task_id, "another thing")
        now[0] = retry.at
        assert isolation.is_due(house.coordinator, task_id, "it can't be done")
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[1], pauses[-1]) == (3, 6, isolation.LONGEST_PAUSE_SECONDS)
    assert house.operator.task(task_id)["problem"] == "it can't be done: no; wait"
    with isolation.of_task(house.coordinator, task_id, "it can't be done"):
        pass
    assert house.operator.task(task_id)["problem"] == ""
    assert house.coordinator.retries == {}


@pytest.fixture
def small_folder(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"this test mounts a small file system, which needs root: {mounted.stderr}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_tmpdir_is_an_error_of_ours_and_never_the_end_of_the_process(
    server: Server, small_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Case 20: a sparse memory map ended the process with SIGBUS, at every start anew."""
    fleet.make_bundle(tmp_path / "bundle", MANY)
    monkeypatch.setenv("TMPDIR", str(small_folder))
    server.start()
    with server.http() as http:
        operator = fleet.Operator(http, "k" * 32)
        full = publish(operator, tmp_path / "bundle", "full", goal=3, rule="median")
        other = publish(operator, tmp_path / "bundle", "other")
        for name, task_id, count in (("full", full, 3), ("other", other, 1)):
            token = operator.link(count, name)
            for value in range(count):
                device = fleet.enroll(http, token, name)
                body = fleet.body(fleet.change(float(value), MANY))
                assert device.upload(device.join(), body).status_code == 200, task_id
        from tests.coordinator.conftest import wait_for

        wait_for(lambda: "TMPDIR" in operator.task(full)["problem"])
        wait_for(lambda: operator.task(other)["committed_rounds"] == 1)
        assert server.process is not None
        assert server.process.poll() is None
        subprocess.run(["mount", "-o", "remount,size=64m", str(small_folder)], check=True)
        wait_for(lambda: operator.task(full)["committed_rounds"] == 1)
        assert operator.task(full)["problem"] == ""


def test_the_file_is_whole_before_it_is_mapped_and_gone_afterwards(small_folder: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(small_folder))
        with reduction._stack(3, 1000) as stack:
            assert (stack.shape, stack.any()) == ((3, 1000), False)
            stack[2, 999] = 5
            status = os.statvfs(small_folder)
            assert (status.f_blocks - status.f_bfree) * status.f_frsize >= 12_000
        with pytest.raises(Unavailable, match="TMPDIR"), reduction._stack(3, 10_000_000):
            pass
