"""Who may fetch which blob, and that a store which answers slowly keeps nobody waiting but those who want a blob."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fedrela.coordinator.storage.blobs import FolderBlobs
from fedrela.core import signing
from fedrela.core.task import Relabel, Rounds, Task
from tests.coordinator import fleet
from tests.coordinator.api.test_bad_input import check_problem
from tests.coordinator.conftest import House, house_with, settings_for
from tests.patience import PATIENCE_SECONDS


def test_a_device_gets_the_blobs_of_its_own_population_only(any_house: House) -> None:
    rounds = Rounds(goal=1, smallest_cohort=1)
    task = Task("theirs", 2, population="theirs", round=rounds, relabel=Relabel(enabled=False))
    task_id = any_house.operator.publish(any_house.bundle, task)
    (insider,), (stranger,) = any_house.devices(1, "theirs"), any_house.devices(1, "others")
    first = insider.join()
    hashes = {first[name] for name in ("task_sha256", "manifest_sha256", "checkpoint_sha256")}
    manifest = any_house.coordinator.manifest(first["manifest_sha256"])
    hashes |= {sha256 for sha256, _ in manifest.files().values()}
    insider.upload(first, fleet.body(fleet.change(1.0)))
    hashes.add(any_house.operator.task(task_id)["checkpoint_sha256"])
    unused = b"of no task"
    any_house.operator.call("PUT", f"/blobs/{signing.sha256(unused)}", content=unused)
    assert len(hashes) >= 6
    for sha256 in hashes:
        path = f"/v1/blobs/{sha256}"
        assert any_house.http.get(path, auth=insider.auth).status_code == 200
        check_problem(any_house.http.get(path, auth=stranger.auth), 404, "unknown-blob")
        assert any_house.http.get(path, headers=any_house.operator.headers).status_code == 200
    for device in (insider, stranger):
        answer = any_house.http.get(f"/v1/blobs/{signing.sha256(unused)}", auth=device.auth)
        check_problem(answer, 404, "unknown-blob")


def test_slow_reads_of_blobs_stop_no_other_request(
    tmp_path: Path, bundle_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with house_with(settings_for(tmp_path / "data", threads=2), bundle_folder) as house:
        house.publish(1, goal=1)
        (device,) = house.devices(1)
        path = f"/v1/blobs/{device.join()['checkpoint_sha256']}"
        slow, reading, read = threading.Event(), threading.Semaphore(0), FolderBlobs.read

        def slowly(self: FolderBlobs, name: str, start: int = 0, length: int | None = None) -> bytes:
            reading.release()
            assert slow.wait(PATIENCE_SECONDS)
            return read(self, name, start, length)

        with ThreadPoolExecutor(8) as pool:
            monkeypatch.setattr(FolderBlobs, "read", slowly)
            readers = [pool.submit(house.http.get, path, auth=device.auth) for _ in range(6)]
            assert all(reading.acquire(timeout=PATIENCE_SECONDS) for _ in range(2))  # as many as there are threads
            other = pool.submit(house.http.get, "/v1/admin/tasks", headers=house.operator.headers)
            try:
                assert other.result(timeout=PATIENCE_SECONDS).status_code == 200
                assert not any(reader.done() for reader in readers)
            finally:
                slow.set()
            assert [reader.result().status_code for reader in readers] == [200] * 6
