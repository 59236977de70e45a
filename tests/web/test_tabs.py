"""Three tabs and five Python devices finish a FedReLa task together; a tab is killed, the coordinator too.

Afterwards the same eight devices run once more, all in Python, and everything is compared: final weights, single
updates, overlays; and every byte that the browser sent is looked at.
"""

import json
import re
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedrela.conformance.rounds.round_cases import programs, run
from fedrela.core import encodings, tensors
from fedrela.core.task import LocalTraining, Relabel, Rounds, Task
from fedrela.edge.client import DeviceClient
from fedrela.edge.engines.onnx_engine import OnnxEngine
from fedrela.edge.engines.pool import EnginePool
from fedrela.edge.training.local_round import LocalRound
from tests.patience import PATIENCE_SECONDS, wait_for
from tests.web.browser import Browser, Recorder, Seen, Tab
from tests.web.place import Place, shard_examples
from tests.web.same_update import check_same_update, train_on

TAB_SHARDS = (2, 5, 6)
PYTHON_SHARDS = (0, 1, 3, 4, 7)
TASK = Task(
    "digits",
    4,
    seed=11,
    local=LocalTraining(epochs=12, batch_size=8, hyperparameters={"lr": 0.02}),
    relabel=Relabel(start=3, threshold_percent=20.0, passes=2),
    round=Rounds(goal=8, retry_after_seconds=0.2),
)
READ_BYTES = """(prefix) => new Promise((resolve) => {
  const opening = indexedDB.open("fedrela");
  opening.onsuccess = () => {
    const store = opening.result.transaction("bytes").objectStore("bytes");
    const asked = store.getAll(IDBKeyRange.bound(prefix, prefix + "\\uffff"));
    asked.onsuccess = () => { opening.result.close(); resolve(asked.result.map((body) => [...body])); };
  };
})"""


def run_device(client: DeviceClient, deadline: float) -> None:
    """One assignment after another until the task is finished."""
    while time.monotonic() < deadline:
        outcome = client.run_once()
        if outcome.kind == "waiting" and outcome.reason == "finished":
            return
        time.sleep(min(outcome.retry_after_seconds, 0.5))


def run_python(place: Place, shards: dict[int, bytes]) -> list[threading.Thread]:
    """Python devices on `shards` (number -> secret), each in a thread."""
    pool = EnginePool()
    threads = []
    for number, secret in shards.items():
        client = place.device(number, secret=secret)
        client.pool = pool
        thread = threading.Thread(target=run_device, args=(client, time.monotonic() + PATIENCE_SECONDS), daemon=True)
        thread.start()
        threads.append(thread)
    return threads


def committed(place: Place, task_id: str) -> int:
    """Rounds that are closed."""
    return int(place.task(task_id)["committed_rounds"])


@pytest.fixture
def fleet(place: Place, recorder: Recorder, browser: Browser, tmp_path: Path) -> dict[str, Any]:
    """The run: what it left behind."""
    task_id = place.publish(TASK)
    tabs = {shard: Tab(browser, f"tab-{shard}") for shard in TAB_SHARDS}
    picture = tmp_path / "holiday-at-the-lake.png"
    for shard, tab in tabs.items():
        tab.join(place.link())
        tab.use_demo(shard)
    secrets = {number: bytes([number]) * 32 for number in PYTHON_SHARDS}
    for tab in tabs.values():
        tab.do("click", selector="#pause")
    threads = run_python(place, secrets)
    killed = tabs[2]
    killed.do("waitFor", code="() => /step ([3-9]\\d|1\\d\\d) of/.test(document.querySelector('#doing').textContent)")
    assert killed.do("eval", code=READ_BYTES, argument="assignment/snapshot")  # it was in the middle
    killed.do("crash")
    before = len(recorder.seen)
    wait_for(lambda: all(device_reported(recorder, tabs[shard]) for shard in (5, 6)))
    place.kill()
    time.sleep(0.5)
    place.start()
    killed.do("open", url=f"{place.url}/join/")
    wait_for(lambda: place.task(task_id)["status"] == "finished")
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()
    for shard, tab in tabs.items():
        secrets[shard] = bytes.fromhex(tab.stored("identity")["secret"])
    return {
        "task_id": task_id,
        "tabs": tabs,
        "secrets": secrets,
        "after_kill": recorder.seen[before:],
        "picture": picture,
    }


def device_reported(recorder: Recorder, tab: Tab) -> bool:
    """Whether a tab has sent an update."""
    token = "Bearer " + tab.stored("identity")["device_token"]
    return any(seen.method == "PUT" and seen.headers.get("Authorization") == token for seen in recorder.seen)


def of_tab(requests: list[Seen], tab: Tab) -> list[Seen]:
    """The requests of one device."""
    token = "Bearer " + tab.stored("identity")["device_token"]
    return [seen for seen in requests if seen.headers.get("Authorization") == token]


def test_tabs_and_python_devices_finish_a_task_together(fleet, place, recorder, browser, tmp_path):
    check_resumed(fleet)
    check_single_updates(fleet, place, recorder)
    check_nothing_leaks(fleet, recorder)
    check_python_only_run(fleet, place, tmp_path)
    for tab in fleet["tabs"].values():
        errors = [error for error in tab.do("errors") if "ERR_" not in error]  # of the time without a coordinator
        assert not errors


def check_resumed(fleet: dict[str, Any]) -> None:
    """The killed tab sent its first round's update without asking for work again."""
    calls = [(seen.method, seen.url.rsplit("/", 1)[-1]) for seen in of_tab(fleet["after_kill"], fleet["tabs"][2])]
    assert calls.index(("PUT", "update")) < calls.index(("POST", "check-ins"))
    assert all(tab.stored("totals")["rounds"] == TASK.rounds for tab in fleet["tabs"].values())


def check_single_updates(fleet: dict[str, Any], place: Place, recorder: Recorder) -> None:
    """Every update of every tab is the one that the Python ONNX device makes; so are the overlays."""
    opened = place.opened()
    engine = OnnxEngine(opened.manifest, programs(opened.folder, opened.manifest))
    starts = [place.admin.get(f"/tasks/{fleet['task_id']}")["initial_checkpoint_sha256"]]
    starts += [item["checkpoint_sha256"] for item in place.admin.get(f"/tasks/{fleet['task_id']}/rounds")]
    for shard, tab in fleet["tabs"].items():
        bodies = [seen.body for seen in of_tab(recorder.seen, tab) if seen.method == "PUT"]
        unique = list(dict.fromkeys(bodies))
        assert len(unique) == TASK.rounds
        examples, overlay_labels = shard_examples(shard), None
        for number, body in enumerate(unique, start=1):
            weights = tensors.from_bytes(place.admin.download(starts[number - 1]), opened.manifest.weights)
            local = LocalRound(TASK, number, fleet["secrets"][shard])
            if number <= 3:
                labels, update = run(engine, local, weights, examples)
                overlay_labels = labels
            else:  # re-labeled once: the overlay stays
                update = train_on(engine, local, weights, examples, overlay_labels)
            sent, _ = encodings.decode(body, opened.manifest.weights, "float32")
            check_same_update(weights, update, sent)
        assert overlay_labels is not None
        assert overlay_of(tab, examples.y).tolist() == overlay_labels.tolist()


def overlay_of(tab: Tab, labels: Any) -> Any:
    """The labels that a tab trains on, from its own database; its keys count from 1."""
    (body,) = tab.do("eval", code=READ_BYTES, argument="overlays/")
    arrays = tensors.read(bytes(body))
    laid = labels.copy()
    laid[arrays["keys"] - 1] = arrays["relabeled"]
    assert len(arrays["keys"]) > 0
    return laid


def check_nothing_leaks(fleet: dict[str, Any], recorder: Recorder) -> None:
    """No pixel, label, class count or secret in any byte that the browser sent, and nobody else was asked."""
    assert not recorder.other_hosts()
    everything = b"\n".join(seen.url.encode() + json.dumps(seen.headers).encode() + seen.body for seen in recorder.seen)
    for shard, tab in fleet["tabs"].items():
        examples = shard_examples(shard)
        rows = examples.x["x"].reshape(len(examples), -1)
        assert not any(row.tobytes() in everything for row in rows)
        for encoded in (examples.y, examples.y.astype(np.int32), examples.y.astype(np.uint8)):
            assert encoded.tobytes() not in everything
        identity = tab.stored("identity")
        for secret in ("secret", "private_key"):
            assert identity[secret].encode() not in everything
            assert bytes.fromhex(identity[secret]) not in everything
    for seen in recorder.seen:
        check_known_message(seen)


def check_known_message(seen: Seen) -> None:
    """Every request is one of those that the protocol names, with exactly its fields."""
    path = re.sub(r"^https?://[^/]+", "", seen.url)
    if seen.method == "GET":
        assert re.fullmatch(r"/join(/.*)?|/v1/tasks|/v1/blobs/[0-9a-f]{64}", path), path
        assert not seen.body
        return
    if path.endswith("/update"):
        assert set(tensors.read_metadata(seen.body)) == {"protocol", "examples", "encoding"}
        return
    fields = {
        "devices": {"enrollment_token", "public_key", "coordinator", "signature", "protocol"},
        "check-ins": {"population", "client", "features", "runtimes", "nonce", "protocol"},
        "failure": {"code", "protocol"},
    }
    assert set(json.loads(seen.body)) == fields[path.rsplit("/", 1)[-1]]


def check_python_only_run(fleet: dict[str, Any], place: Place, tmp_path: Path) -> None:
    """The same eight devices once more, all in Python: the same global model within 1e-4."""
    folder = tmp_path / "again" / "data"
    folder.mkdir(parents=True)
    again = Place(folder, place.bundle)
    again.start()
    try:
        task_id = again.publish(TASK)
        for thread in run_python(again, fleet["secrets"]):
            thread.join(PATIENCE_SECONDS)
        assert again.task(task_id)["status"] == "finished"
        specs = place.opened().manifest.weights
        models = [
            tensors.from_bytes(where.admin.download(where.task(name)["checkpoint_sha256"]), specs)
            for where, name in ((place, fleet["task_id"]), (again, task_id))
        ]
    finally:
        again.stop()
    difference = tensors.subtract(models[0], models[1])
    assert max(float(np.abs(array).max()) for array in difference.values()) <= 1e-4
