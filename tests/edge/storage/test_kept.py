"""What a device keeps of tasks has an end: the least recently used goes, and never what is worked on."""

from pathlib import Path

import pytest

from fedrela.core import signing
from fedrela.core.bundle import Bundle
from fedrela.core.errors import InvalidBundle
from fedrela.core.task import LocalTraining, Relabel, Rounds
from fedrela.core.wire import Assignment
from fedrela.edge.client import DeviceClient
from fedrela.edge.engines.pool import EnginePool
from fedrela.edge.owner.settings import DeviceSettings
from fedrela.edge.storage import kept
from fedrela.edge.storage.kept import Room
from fedrela.edge.storage.state import task_key
from fedrela.edge.storage.store import FolderStore, MemoryStore
from tests.edge import softmax_bundle
from tests.edge.conftest import some_examples
from tests.edge.live import LiveCoordinator, device, small_task

MOST = 3


def assignment(number: int) -> Assignment:
    """Of task `number`, on a bundle of its own."""
    task, manifest = (signing.sha256(f"{what} {number}".encode()) for what in ("task", "manifest"))
    return Assignment(f"a-{number}", f"t-{number}", 1, task, manifest, "00" * 32, 1, 60.0, 60.0, "token")


def use(room: Room, number: int, size_bytes: int = 10, working_bytes: int = 5) -> kept.Kept:
    """Work on a task: keep its blobs, an overlay, a residual and the self-test that passed."""
    offered = assignment(number)
    file = signing.sha256(f"file {number}".encode())
    key = task_key(offered.task_id)
    used = kept.Kept(key, offered.task_sha256, offered.manifest_sha256, (file,), size_bytes)
    room.use(used, working_bytes)
    for sha256 in (used.task_sha256, used.manifest_sha256, file):
        room.blobs.put(f"blobs/{sha256}", b"x")
    for name in (f"overlays/{key}", f"residuals/{key}", f"self-tests/{used.manifest_sha256}-onnx-1"):
        room.store.put(name, b"x")
    return used


@pytest.fixture(params=["memory", "folder"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> MemoryStore | FolderStore:
    return MemoryStore() if request.param == "memory" else FolderStore(tmp_path / "state")


def test_the_least_recently_used_goes_with_all_that_is_of_it(store: MemoryStore | FolderStore) -> None:
    room = Room(store, store, MOST, 1_000_000)
    used = {number: use(room, number) for number in (1, 2, 3, 1, 4)}
    assert room.is_newest(assignment(4))
    names = {key for one in (3, 1, 4) for key in (f"overlays/{used[one].task}", f"residuals/{used[one].task}")}
    names |= {f"self-tests/{used[one].manifest_sha256}-onnx-1" for one in (3, 1, 4)}
    hashes = {sha for one in (3, 1, 4) for sha in (used[one].task_sha256, used[one].manifest_sha256, *used[one].files)}
    assert set(store.keys()) == names | {f"blobs/{sha256}" for sha256 in hashes} | {kept.INDEX}


def test_what_nobody_needs_goes_and_a_damaged_index_is_begun_anew(store: MemoryStore | FolderStore) -> None:
    store.put("blobs/" + "0" * 64, b"left behind")
    store.put("partial/" + "1" * 64, b"left behind")
    store.put("overlays/of-version-0-1", b"labels")
    store.put(kept.INDEX, b"{damaged")
    use(Room(store, store, MOST, 1_000_000), 1)
    assert not {"blobs/" + "0" * 64, "partial/" + "1" * 64} & set(store.keys())
    assert store.get("overlays/of-version-0-1") == b"labels", "the labels of a task that may go on"


def test_bytes_are_bounded_too_and_what_is_too_large_alone_is_refused() -> None:
    store = MemoryStore()
    room = Room(store, store, 100, 100)
    for number in range(10):
        use(room, number, size_bytes=30, working_bytes=20)
    assert len(store.keys("blobs/")) == 2 * 3
    before = {key: store.get(key) for key in store.keys("")}
    with pytest.raises(InvalidBundle, match=r"101 bytes, this device keeps 100.*max_state_bytes"):
        use(room, 11, size_bytes=81, working_bytes=20)
    assert {key: store.get(key) for key in store.keys("")} == before


def test_sixty_six_bundles_leave_a_few(live: LiveCoordinator, tmp_path: Path) -> None:
    """A coordinator that publishes one task after another, each with programs of its own."""
    settings, pool = DeviceSettings(max_tasks=MOST), EnginePool(most_open=2)
    store = FolderStore(tmp_path / "state")
    client: DeviceClient | None = None
    sizes = []
    for number in range(66):
        bundle = softmax_bundle.write(tmp_path / f"bundle-{number}", name=f"softmax-{number}")
        task = small_task(
            rounds=1, local=LocalTraining(epochs=1), relabel=Relabel(start=1), round=Rounds(goal=1, smallest_cohort=1)
        )
        live.publish(bundle, task)
        client = client or device(live, 1, some_examples(), store=store, settings=settings, pool=pool)
        assert client.run_once().kind == "uploaded"
        sizes.append(sum(path.stat().st_size for path in store.folder.rglob("*") if path.is_file()))
    assert len(pool._engines) == 2
    assert len(store.keys("blobs/")) == 4 + MOST + 1, "they differ in their manifests alone"
    assert len(store.keys("overlays/")) == len(store.keys("self-tests/")) == MOST
    assert sizes[-1] < 1.2 * sizes[MOST] + 66 * 1000, "the log of what was sent grows by lines"


def test_programs_are_kept_while_there_is_room(live: LiveCoordinator, small_bundle: Bundle) -> None:
    asked: list[str] = []
    settings = DeviceSettings(max_tasks=1)
    for name in ("first", "second"):
        live.publish(
            small_bundle,
            small_task(name=name, rounds=2, relabel=Relabel(enabled=False), round=Rounds(goal=1, smallest_cohort=1)),
        )
    client = device(live, 1, some_examples(), settings=settings)
    client.api.sent = lambda sent: asked.append(sent.path)
    while client.run_once().kind == "uploaded":
        pass
    manifest = f"/v1/blobs/{small_bundle.seal.manifest_sha256}"
    assert asked.count(manifest) == 1, "the other task has the same programs"
