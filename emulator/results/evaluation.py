"""The judge: hears what the fleet does, evaluates every global model, writes it all down, and tells the coordinator.

May import psutil, `fedrela.edge.engines.engine`, `core` and the other modules of this package.

    judge = Judge(operator, task_id, engine, dataset, groups, recorder, progress, processes([]))
"""

import dataclasses
import time
from dataclasses import dataclass, field
from typing import Any

import psutil  # type: ignore[import-untyped]

from fedrela.core import tensors
from fedrela.edge.engines.engine import Engine
from fedrela.emulator.connections.admin import Operator
from fedrela.emulator.data.datasets import Dataset
from fedrela.emulator.fleet.messages import Done
from fedrela.emulator.results.accuracy import evaluate
from fedrela.emulator.results.progress import Progress
from fedrela.emulator.results.record import Recorder, RoundResult


@dataclass
class Judge:
    """Records what happens, and judges every global model on the balanced test set."""

    operator: Operator
    task_id: str
    engine: Engine
    dataset: Dataset
    groups: tuple[tuple[int, ...], ...]  # of classes: many, medium, few
    recorder: Recorder
    progress: Progress
    processes: list[psutil.Process]  # whose memory is counted
    started_at: float = field(default_factory=time.monotonic)
    trained_at: float = 0.0  # when enrolment was over
    updates: int = 0
    failed_rounds: int = 0  # attempts at a round that ran out of time and were begun again
    peak_bytes: int = 0
    last_t: float = 0.0
    final: RoundResult | None = None

    def started(self, devices: int) -> None:
        """See `Observer.started`."""
        self.trained_at = time.monotonic()
        self.progress.say(f"{devices} devices have enrolled")

    def done(self, done: Done) -> None:
        """See `Observer.done`."""
        self.recorder.events(done.events)
        self.updates += done.kind == "uploaded"

    def committed(self, record: dict[str, Any], t: float) -> None:
        """See `Observer.committed`."""
        self.failed_rounds += record["attempt"] - 1
        self.judge(record["round"], record["checkpoint_sha256"], updates=record["updates"], t=t)
        assert self.final is not None
        self.operator.report_accuracy(self.task_id, record["round"], self.final.accuracy, len(self.dataset.y_test))
        self.peak_bytes = max(self.peak_bytes, sum(_resident(process) for process in self.processes))

    def judge(self, number: int, checkpoint_sha256: str, *, updates: int, t: float) -> None:
        """Evaluate a checkpoint and record the figures."""
        weights = tensors.from_bytes(self.operator.blob(checkpoint_sha256), self.engine.manifest.weights)
        accuracy, loss = evaluate(self.engine, weights, self.dataset.x_test, self.dataset.y_test, self.groups)
        self.final = RoundResult(number, round(t, 6), checkpoint_sha256, updates, loss, accuracy)
        self.recorder.round(self.final)
        self.progress.round(number, accuracy=accuracy.overall, few=accuracy.few, hours=t / 3600)

    def summary(self) -> dict[str, Any]:
        """What the run came to."""
        assert self.final is not None  # round 0 was judged
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


def processes(process_ids: list[int]) -> list[psutil.Process]:
    """This process and those, for measuring memory; 0 stands for one that is not ours."""
    return [psutil.Process(), *(psutil.Process(number) for number in process_ids if number)]


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
