"""Whatever a coordinator publishes, and however often a device is interrupted: what it keeps has an end."""

from pathlib import Path

import pytest

from fedrela.core import signing
from fedrela.core.bundle import Bundle
from fedrela.core.wire import Assignment
from fedrela.edge.owner.settings import DeviceSettings
from fedrela.edge.storage import kept, sent_log, state
from fedrela.edge.storage.kept import DAY_SECONDS, UNUSED_SECONDS, Kept, Room
from fedrela.edge.storage.sent_log import SentLog
from fedrela.edge.storage.state import task_key
from fedrela.edge.storage.store import FolderStore, MemoryStore
from tests.edge.conftest import some_examples
from tests.edge.live import LiveCoordinator, device, small_task

CHECK_INS = 60_000
EVERY_SECONDS = 120.0  # 83 days
MOST_TASKS, FILE_BYTES, LOG_BYTES = 3, 1000, 100_000
MOST_BYTES = 6 * FILE_BYTES


def sha256(text: str) -> str:
    return signing.sha256(text.encode())


def assigned(number: int) -> tuple[Assignment, Kept]:
    """An assignment of task `number`, and what is kept of it."""
    task, manifest, program = (sha256(f"{what} {number}") for what in ("task", "manifest", "program"))
    offered = Assignment(f"a-{number}", f"t-{number}", 1, task, manifest, "00" * 32, 1, 60.0, 60.0, "token")
    return offered, Kept(task_key(offered.task_id), task, manifest, (program,), FILE_BYTES)


def work(room: Room, number: int) -> None:
    """Keep what an assignment of task `number` leaves behind, cut off in the middle of another download."""
    offered, one = assigned(number)
    if not room.is_newest(offered):
        room.use(one, working_bytes=FILE_BYTES)
    for key in (f"blobs/{one.task_sha256}", f"blobs/{one.manifest_sha256}", f"blobs/{one.files[0]}"):
        room.blobs.put(key, b"x" * (FILE_BYTES // 3))
    state.drop_partial(room.blobs, but=sha256(f"checkpoint {number}"))
    room.blobs.append(f"partial/{sha256(f'checkpoint {number}')}", b"x" * FILE_BYTES)
    for key in (f"overlays/{one.task}", f"residuals/{one.task}", f"self-tests/{one.manifest_sha256}-onnx-1"):
        room.store.put(key, b"x" * 100)


def held_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_sixty_thousand_check_ins_leave_a_bounded_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sent_log, "LOG_BYTES", LOG_BYTES)
    monkeypatch.setattr("fedrela.edge.storage.store.os.fsync", lambda descriptor: None)  # no power cut is played here
    closed: list[set[str]] = []
    now, store = [1e9], FolderStore(tmp_path / "state")
    room = Room(store, store, MOST_TASKS, MOST_BYTES, lambda: now[0], closed.append)
    log = SentLog(store, keep_bodies=False)
    bound = LOG_BYTES + 2 * MOST_BYTES + 10_000
    for number in range(CHECK_INS):
        now[0] += EVERY_SECONDS
        log.add(now[0], "POST", "/v1/check-ins", b"body")
        if number < CHECK_INS // 2 and number % 400 == 0:
            work(room, number)
        else:
            room.let_go()
        if number % 500 == 0:
            assert held_bytes(store.folder) < bound, number
    assert len(log.lines()) > 300
    assert store.keys() == [kept.INDEX, sent_log.LOG_KEY], "no task came for forty days"
    worked_on = {assigned(number)[1].manifest_sha256 for number in range(0, CHECK_INS // 2, 400)}
    assert set().union(*closed) == worked_on, "no engine is open"


@pytest.mark.parametrize("days", [29, 31])
def test_a_task_goes_a_month_after_it_was_used_last(days: int) -> None:
    now, store = [1e9], MemoryStore()
    room = Room(store, store, MOST_TASKS, MOST_BYTES, lambda: now[0])
    for _ in range(3):
        work(room, 1)
        now[0] += UNUSED_SECONDS - DAY_SECONDS
        room.let_go()
    now[0] += (days - 29) * DAY_SECONDS
    room.let_go()
    overlay = f"overlays/{assigned(1)[1].task}"
    assert store.keys("overlays/") == ([overlay] if days == 29 else [])


def test_tasks_that_a_device_refuses_leave_nothing(live: LiveCoordinator, small_bundle: Bundle) -> None:
    for number in range(3):
        live.publish(small_bundle, small_task(name=f"refused-{number}"))
    client = device(live, 1, some_examples(), settings=DeviceSettings(max_state_bytes=1))
    assert [client.run_once().kind for _ in range(3)] == ["dropped"] * 3
    assert client.store.keys("blobs/") == client.store.keys("partial/") == []


def test_a_download_of_what_is_kept_goes_on_and_one_of_anything_else_is_given_up() -> None:
    store = MemoryStore()
    room = Room(store, store, MOST_TASKS, MOST_BYTES, lambda: 1e9)
    work(room, 1)
    program = f"partial/{assigned(1)[1].files[0]}"
    store.put(program, b"half")
    room.let_go()
    assert store.keys("partial/") == [program]


def test_an_index_that_says_no_time_begins_its_month_now() -> None:
    now, store = [0.0], MemoryStore()
    room = Room(store, store, MOST_TASKS, MOST_BYTES, lambda: now[0])
    work(room, 1)
    now[0] = 1e9
    room.let_go()
    assert len(store.keys("overlays/")) == 1
    now[0] += UNUSED_SECONDS
    room.let_go()
    assert store.keys("overlays/") == []


def test_a_clock_that_was_wrong_for_a_while_keeps_nothing_for_ever() -> None:
    now, store = [4e9], MemoryStore()
    room = Room(store, store, MOST_TASKS, MOST_BYTES, lambda: now[0])
    work(room, 1)
    room.let_go()
    now[0] = 1e9
    for days in (0, 31):
        now[0] += days * DAY_SECONDS
        room.let_go()
    assert store.keys("overlays/") == []
