"""Hears what the fleet does, evaluates every global model, writes it all down, and tells the coordinator.

evaluator = Evaluator(admin, task_id, engine, dataset, groups, recorder, progress, processes([]))
"""

import dataclasses
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from fedrela.coordinator.admin_client import AdminClient
from fedrela.core import tensors
from fedrela.core.data import partition
from fedrela.core.data.partition import Accuracy
from fedrela.core.tensors import Array, Params
from fedrela.edge.engines.engine import Engine
from fedrela.emulator.data.datasets import Dataset
from fedrela.emulator.fleet.messages import Done
from fedrela.emulator.results.progress import Progress
from fedrela.emulator.results.record import Recorder, RoundResult

_BATCH = 256
_NEUTRAL = np.float32(0.5)  # the uniform at which an augmentation leaves the example as it is: no flip, center crop


@dataclass
class Evaluator:
    """Records what happens, and evaluates every global model on the balanced test set."""

    admin: AdminClient
    task_id: str
    engine: Engine
    dataset: Dataset
    groups: tuple[tuple[int, ...], ...]  # of classes: many, medium, few
    recorder: Recorder
    progress: Progress
    processes: list[psutil.Process]  # whose memory is counted
    started_at: float = field(default_factory=time.monotonic)
    trained_at: float = 0.0  # when enrollment was over
    updates: int = 0
    failed_rounds: int = 0  # attempts at a round that ran out of time and were begun again
    peak_bytes: int = 0
    last_t: float = 0.0
    final: RoundResult | None = None

    def started(self, devices: int) -> None:
        """See `FleetObserver.started`."""
        self.trained_at = time.monotonic()
        self.progress.say(f"{devices} devices have enrolled")

    def done(self, done: Done) -> None:
        """See `FleetObserver.done`."""
        self.recorder.events(done.events)
        self.updates += done.kind == "uploaded"

    def committed(self, record: dict[str, Any], t: float) -> None:
        """See `FleetObserver.committed`."""
        self.failed_rounds += record["attempt"] - 1
        self.evaluate(record["round"], record["checkpoint_sha256"], updates=record["updates"], t=t)
        assert self.final is not None
        self.admin.report_accuracy(self.task_id, record["round"], self.final.accuracy, len(self.dataset.y_test))
        self.peak_bytes = max(self.peak_bytes, sum(_resident(process) for process in self.processes))

    def evaluate(self, number: int, checkpoint_sha256: str, *, updates: int, t: float) -> None:
        """Evaluate a checkpoint and record the figures."""
        weights = tensors.from_bytes(self.admin.download(checkpoint_sha256), self.engine.manifest.weights)
        accuracy, loss = evaluate(self.engine, weights, self.dataset.x_test, self.dataset.y_test, self.groups)
        self.final = RoundResult(number, round(t, 6), checkpoint_sha256, updates, loss, accuracy)
        self.recorder.round(self.final)
        self.progress.round(number, accuracy=accuracy.overall, few=accuracy.few, hours=t / 3600)

    def summary(self) -> dict[str, Any]:
        """What the run came to."""
        assert self.final is not None  # round 0 was evaluated
        now = time.monotonic()
        return {
            "final_sha256": self.final.checkpoint_sha256,
            "rounds": self.final.round,
            "accuracy": dataclasses.asdict(self.final.accuracy),
            "loss": self.final.loss,
            "updates": self.updates,
            "failed_rounds": self.failed_rounds,
            "virtual_seconds": self.final.t,
            "machine": {
                "seconds": now - self.started_at,
                "training_seconds": now - self.trained_at,
                "updates_per_second": self.updates / max(now - self.trained_at, 1e-9),
                "peak_memory_bytes": self.peak_bytes,
            },
        }


def predict(engine: Engine, weights: Params, x: Array) -> NDArray[np.float32]:
    """Probabilities (n, C) of x (n, ...) by the exported `predict` program, without augmentation."""
    manifest = engine.manifest
    parts = []
    for start in range(0, len(x), _BATCH):
        rows = x[start : start + _BATCH]
        randoms = {
            item.name: np.full(tuple(len(rows) if isinstance(d, str) else d for d in item.shape), _NEUTRAL, np.float32)
            for item in manifest.predict.role("random")
        }
        parts.append(engine.predict(weights, {manifest.x[0].name: rows}, randoms))
    return np.concatenate(parts)


def evaluate(
    engine: Engine, weights: Params, x: Array, y: NDArray[np.int64], groups: tuple[tuple[int, ...], ...]
) -> tuple[Accuracy, float]:
    """Accuracy and mean negative log likelihood (natural logarithm) of `weights` on x (n, ...), y (n,)."""
    q = predict(engine, weights, x)
    loss = float(-np.log(np.maximum(q[np.arange(len(y)), y].astype(np.float64), 1e-12)).mean())
    return partition.accuracy(q.argmax(axis=1), y, groups, engine.manifest.classes), loss


def processes(process_ids: list[int]) -> list[psutil.Process]:
    """This process and those, for measuring memory; 0 stands for one that is not ours."""
    return [psutil.Process(), *(psutil.Process(number) for number in process_ids if number)]


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
