"""The browser device against the Python device: time of a training step, bytes, and memory of the tab.

    make web && python -m benchmarks.browser

A real tab of headless Chromium works on a real task, behind a proxy that counts bytes; then the Python device trains
the same rounds on the same data with onnxruntime. Both use one thread. A step's time is the smallest of the rounds'
means, from the first to the last step, checkpoints in IndexedDB included. Bar: at most 5 times Python's.
"""

import argparse
import json
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fedrela.conformance.rounds.round_cases import programs
from fedrela.core import bundle, tensors
from fedrela.core.task import LocalTraining, Relabel, Rounds, Task
from fedrela.edge.engines.onnx_engine import OnnxEngine
from fedrela.edge.training import local_round
from fedrela.edge.training.examples import Examples
from fedrela.edge.training.local_round import LocalRound
from fedrela.export import export_classifier
from fedrela.export.models import small_cnn
from tests.web.browser import Browser, Recorder, Tab, missing
from tests.web.place import Place

RESULTS = Path(__file__).parent / "results" / "browser.json"
BAR = 5.0
BATCH, SAMPLES, EPOCHS, ROUNDS = 32, 256, 5, 4
# shape and widths of the convolutions
MODELS: dict[str, tuple[tuple[int, int, int], tuple[int, ...]]] = {
    "1x8x8, 16-32": ((1, 8, 8), (16, 32)),
    "3x32x32, 16-32-64": ((3, 32, 32), (16, 32, 64)),
}
WATCH = """() => {
  window.steps = [];
  new MutationObserver(() => {
    const match = /round (\\d+) of \\d+: step (\\d+) of (\\d+)/.exec(document.querySelector("#doing").textContent);
    if (match) window.steps.push([Number(match[1]), Number(match[2]), performance.now()]);
  }).observe(document.querySelector("#doing"), { childList: true, characterData: true, subtree: true });
}"""
ONE_THREAD = "() => Object.defineProperty(Navigator.prototype, 'hardwareConcurrency', { get: () => 1 })"
FILL = """({ form, width, labels, seed }) => new Promise((resolve) => {
  const opening = indexedDB.open("fedrela");
  opening.onsuccess = () => {
    const tx = opening.result.transaction("samples", "readwrite");
    let state = seed;
    labels.forEach((label) => {
      const data = new Uint8Array(width);
      for (let at = 0; at < width; at++) {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        data[at] = state >>> 24;
      }
      tx.objectStore("samples").add({ form, label, data });
    });
    tx.oncomplete = () => { opening.result.close(); resolve(); };
  };
})"""


@dataclass(frozen=True)
class Line:
    """One model."""

    model: str
    parameters: int
    browser_ms: float
    python_ms: float
    ratio: float
    first_visit_kb: float  # the page with its runtime, and the task's programs and weights
    round_kb: float  # weights down, update up, questions
    tab_mb: float


def pixels(width: int, seed: int) -> Any:
    """The very numbers that FILL makes."""
    count, state = SAMPLES * width, seed
    drawn = np.empty(count, np.uint8)
    for at in range(count):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        drawn[at] = state >> 24
    return drawn


def measure(name: str, folder: Path) -> Line:
    """Export, serve, let a tab train, then replay in Python."""
    shape, widths = MODELS[name]
    text = "x".join(map(str, shape))
    bundle = export_classifier(
        small_cnn(shape[0], shape[1], widths=widths), input=f"uint8:{text}", classes=10, out=folder / "bundle"
    )
    data = folder / "data"
    data.mkdir()
    local = LocalTraining(epochs=EPOCHS, batch_size=BATCH, hyperparameters={"lr": 0.001})
    task = Task("bench", ROUNDS, local=local, relabel=Relabel(enabled=False), round=Rounds(goal=1, smallest_cohort=1))
    place = Place(data, bundle.folder)
    place.start()
    recorder = Recorder(place.host)
    browser = Browser(recorder.url, "--enable-blink-features=ForceEagerMeasureMemory")
    try:
        task_id = place.publish(task)
        tab = Tab(browser, "bench")
        tab.do("before", code=ONE_THREAD)
        tab.join(place.link())
        labels = [index % 10 for index in range(SAMPLES)]
        form, width = f"uint8 {text}", int(np.prod(shape))
        tab.do("eval", code=FILL, argument={"form": form, "width": width, "labels": labels, "seed": 1})
        tab.do("shut")
        tab.do("open", url=f"{place.url}/join/")
        tab.do("eval", code=WATCH)
        deadline = time.monotonic() + 600
        while place.task(task_id)["status"] != "finished":
            assert time.monotonic() < deadline, tab.do("text", selector="body")
            time.sleep(0.5)
        seen = tab.do("eval", code="() => window.steps")
        memory = tab.do("memory")
        page = sum(size for path, size in recorder.answers if path.startswith("/join"))
        blobs = [size for path, size in recorder.answers if path.startswith("/v1/blobs")]
        sent = sum(len(item.body) for item in recorder.seen if "/v1/" in item.url)
    finally:
        browser.quit()
        recorder.close()
        place.stop()
    weights_size = len((bundle.folder / "weights.safetensors").read_bytes())
    per_round = weights_size + sent / ROUNDS
    examples = Examples({"x": pixels(width, 1).reshape(SAMPLES, *shape)}, np.array(labels))
    browser_ms, python_ms = from_steps(seen), replay(bundle.folder, task, examples)
    return Line(
        name,
        sum(spec.size for spec in bundle.manifest.weights),
        round(browser_ms, 3),
        round(python_ms, 3),
        round(browser_ms / python_ms, 2),
        round((page + sum(blobs) - weights_size * (ROUNDS - 1)) / 1e3, 1),
        round(per_round / 1e3, 1),
        round(memory / 1e6, 1),
    )


def from_steps(seen: list[list[float]]) -> float:
    """Milliseconds of a step: the smallest of the rounds' means."""
    means = []
    for number in {int(item[0]) for item in seen}:
        of_round = [item for item in seen if item[0] == number]
        first, last = of_round[0], of_round[-1]
        if last[1] > first[1]:
            means.append((last[2] - first[2]) / (last[1] - first[1]))
    return min(means)


def replay(folder: Path, task: Task, examples: Examples) -> float:
    """Milliseconds of a step of the Python device on the same client rounds."""
    opened = bundle.read(folder)
    engine = OnnxEngine(opened.manifest, programs(opened.folder, opened.manifest), threads=1)
    weights = tensors.from_bytes((folder / "weights.safetensors").read_bytes(), opened.manifest.weights)
    means = []
    for number in range(1, task.rounds + 1):
        times = []
        state = engine.start(weights)
        for _ in local_round.train(engine, LocalRound(task, number, b"bench"), examples, examples.y, state):
            times.append(time.perf_counter())
        means.append(1e3 * (times[-1] - times[0]) / (len(times) - 1))
    return min(means)


def main() -> None:
    """Measure every model, print the table, write the JSON."""
    argparse.ArgumentParser(prog="python -m benchmarks.browser", description=__doc__).parse_args()
    if reason := missing():
        raise SystemExit(f"can't measure: {reason}")
    lines = []
    for name in MODELS:
        with tempfile.TemporaryDirectory() as scratch:
            lines.append(measure(name, Path(scratch)))
    titles = ("model", "parameters", "browser ms", "python ms", "ratio", "first visit kB", "per round kB", "tab MB")
    rows = [titles, *(tuple(str(value) for value in asdict(line).values()) for line in lines)]
    for row in rows:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, (18, 10, 10, 9, 6, 14, 12, 7), strict=True)))
    passed = all(line.ratio <= BAR for line in lines)
    print(f"bar: at most {BAR} times Python's step: {'met' if passed else 'MISSED'}")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"bar": BAR, "met": passed, "lines": [asdict(line) for line in lines]}, indent=1))


if __name__ == "__main__":
    main()
