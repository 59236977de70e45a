"""The graphics processor: tried once where there is one, used only where right and faster, and never relied upon.

Chromium's own software renderer (SwiftShader) is the graphics processor here: slow, but real WebGPU. It passes the
golden steps and loses on time, so that training on it is tested after its kept choice has been turned by hand.
"""

import json
import math
import time
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from fedrela.conformance.rounds.round_cases import programs, run
from fedrela.core import encodings, tensors
from fedrela.core.task import LocalTraining
from fedrela.edge.engines.onnx_engine import OnnxEngine
from fedrela.edge.training.local_round import LocalRound
from tests.web.browser import Browser, Recorder, Tab
from tests.web.phone import TASK, Phone
from tests.web.place import Place, shard_examples
from tests.web.same_update import check_same_update

SHARD = 3
RUNTIME = "ort-wasm-simd-threaded.jspi"
CHOICES = """() => new Promise((resolve) => {
  const opening = indexedDB.open("fedrela");
  opening.onsuccess = () => {
    const store = opening.result.transaction("bytes").objectStore("bytes");
    const asked = store.getAllKeys(IDBKeyRange.bound("processors/", "processors/\\uffff"));
    asked.onsuccess = () => { opening.result.close(); resolve(asked.result); };
  };
})"""
WRITE = """([key, text]) => new Promise((resolve) => {
  const opening = indexedDB.open("fedrela");
  opening.onsuccess = () => {
    const tx = opening.result.transaction("bytes", "readwrite");
    tx.objectStore("bytes").put(new TextEncoder().encode(text), key);
    tx.oncomplete = () => { opening.result.close(); resolve(); };
  };
})"""


@pytest.fixture
def accelerated(place: Place, recorder: Recorder) -> Iterator[Phone]:
    """A phone whose browser offers a graphics processor, at a task."""
    browser = Browser(recorder.url, "--enable-unsafe-webgpu")
    recorder.reset()
    population = f"p{time.time_ns()}"
    task_id = place.publish(replace(TASK, population=population))
    yield Phone(Tab(browser, population), place, recorder, population, task_id)
    recorder.reset()
    browser.quit()


def runtime_requests(recorder: Recorder) -> int:
    """How often the large runtime was asked for."""
    return sum(RUNTIME in seen.url and seen.url.endswith(".wasm") for seen in recorder.seen)


def line(phone: Phone) -> str:
    """What the page says of the processor."""
    return str(phone.tab.do("eval", code="() => document.querySelector('#processor').textContent"))


def next_task(phone: Phone, steps: int) -> None:
    """Another task on the same program."""
    local = LocalTraining(epochs=1000, batch_size=8, max_steps=steps, hyperparameters={"lr": 0.02})
    task = replace(TASK, rounds=1, population=phone.population, local=local)
    phone.task_id = phone.place.publish(task)
    phone.recorder.reset()


def reopen(phone: Phone) -> None:
    """The page in a new tab of the same phone."""
    phone.tab.do("shut")
    phone.tab.do("open", url=f"{phone.place.url}/join/")


def check_update(phone: Phone, steps: int) -> None:
    """The one update that was sent is the one that the Python device makes."""
    opened = phone.place.opened()
    engine = OnnxEngine(opened.manifest, programs(opened.folder, opened.manifest))
    start = phone.place.admin.get(f"/tasks/{phone.task_id}")["initial_checkpoint_sha256"]
    weights = tensors.from_bytes(phone.place.admin.download(start), opened.manifest.weights)
    local = LocalTraining(epochs=1000, batch_size=8, max_steps=steps, hyperparameters={"lr": 0.02})
    task = replace(TASK, rounds=1, population=phone.population, local=local)
    secret = bytes.fromhex(phone.tab.stored("identity")["secret"])
    _, update = run(engine, LocalRound(task, 1, secret), weights, shard_examples(SHARD))
    (body,) = {seen.body for seen in phone.recorder.seen if seen.method == "PUT"}
    sent, _ = encodings.decode(body, opened.manifest.weights, "float32")
    check_same_update(weights, update, sent)


def test_its_runtime_is_served_compressed_or_not_at_all(place, built_page):
    listed = json.loads((built_page / "files.json").read_text())
    (name,) = [name for name in listed["on_demand"] if name.endswith(".wasm")]
    assert name not in listed["files"]
    assert not (built_page / name).exists()
    url = f"{place.url}/join/{name}"
    with httpx.stream("GET", url, headers={"Accept-Encoding": "gzip, br"}) as answer:
        assert (answer.status_code, answer.headers["content-encoding"]) == (200, "br")
        assert answer.headers["content-type"] == "application/wasm"
        assert int(answer.headers["content-length"]) < listed["gpu_bytes"] < 4_000_000
    assert httpx.get(url, headers={"Accept-Encoding": "identity"}).status_code == 404


def test_a_browser_without_a_graphics_processor_is_asked_for_nothing_more(new_phone):
    phone = new_phone()
    phone.tab.join(phone.place.link(phone.population))
    phone.tab.use_demo(SHARD)
    phone.tab.start()
    assert phone.finished()
    assert "offers no graphics processor" in line(phone)
    assert runtime_requests(phone.recorder) == 0
    assert phone.tab.do("eval", code=CHOICES) == []


def test_a_graphics_processor_is_tried_used_and_lost(accelerated):
    phone = accelerated
    phone.tab.join(phone.place.link(phone.population))
    phone.tab.use_demo(SHARD)
    phone.tab.start()
    assert phone.finished()
    key = check_tried(phone)
    check_not_tried_again(phone)
    choice = phone.tab.stored(key)
    turned = json.dumps(choice | {"processor": "webgpu", "why": "faster"})
    phone.tab.do("eval", code=WRITE, argument=[key, turned])
    check_trains(phone)
    assert not [error for error in phone.tab.do("errors") if "ERR_" not in error]
    check_lost_in_mid_round(phone, key)


def check_tried(phone: Phone) -> str:
    """It passed the golden steps, was timed and lost; the key of what was kept."""
    (key,) = phone.tab.do("eval", code=CHOICES)
    choice = phone.tab.stored(key)
    assert (choice["processor"], choice["why"], choice["setbacks"]) == ("wasm", "slower", 0), choice
    assert choice.get("webgpuMs", math.inf) > choice.get("wasmMs", 0)  # no times: a busy machine's trial was cut off
    assert "graphics processor was tried and is slower" in line(phone)
    assert runtime_requests(phone.recorder) == 1
    return str(key)


def check_not_tried_again(phone: Phone) -> None:
    """A later visit knows the outcome."""
    next_task(phone, 10)
    reopen(phone)
    assert phone.finished()
    check_update(phone, 10)
    assert "graphics processor was tried and is slower" in line(phone)
    assert runtime_requests(phone.recorder) == 0
    assert not any("gpu-worker" in seen.url for seen in phone.recorder.seen)


def check_trains(phone: Phone) -> None:
    """It trains as the Python device does, on a runtime that the browser has kept."""
    next_task(phone, 12)
    reopen(phone)
    assert phone.finished()
    assert "runs on the graphics processor" in line(phone)
    check_update(phone, 12)
    assert runtime_requests(phone.recorder) == 0


def check_lost_in_mid_round(phone: Phone, key: str) -> None:
    """The device is lost: the round goes on, and its update is what it would have been."""
    next_task(phone, 200)
    some = "() => /step ([3-9]|\\d\\d+) of 200/.test(document.querySelector('#doing').textContent)"
    phone.tab.do("waitFor", code=some, timeout=240_000)  # a software renderer compiles shaders on a busy machine
    assert "runs on the graphics processor" in line(phone)
    phone.tab.do("crash_gpu")
    assert phone.finished()
    assert "graphics processor stopped" in line(phone)
    assert phone.tab.stored(key)["setbacks"] == 1
    check_update(phone, 200)
