"""One emulation from scenario to recorded run: read it first to see how the parts meet.

    fetch the task and its bundle -> make the workers' world -> enrol -> play the scenario -> judge every global model

May import httpx, psutil, `edge`, `core` and the other modules of this package.

    summary = emulate(scenario, Place(url, admin_key), task_id, out=Path("runs/mine"), workers=2)
"""

import dataclasses
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from core import bundle, partition, strict, tensors
from core.bundle import Manifest
from core.errors import InvalidInput, InvalidTask
from core.task import Task
from edge.api import CoordinatorApi
from edge.emulator import datasets, shards
from edge.emulator.admin import Operator
from edge.emulator.datasets import Dataset
from edge.emulator.evaluation import evaluate
from edge.emulator.fleet import Fleet
from edge.emulator.messages import Done
from edge.emulator.progress import Progress
from edge.emulator.record import Recorder, RoundResult
from edge.emulator.scenario import Scenario
from edge.emulator.traits import Traits
from edge.emulator.turn import World
from edge.emulator.workers import Inline, Processes
from edge.engine import Engine
from edge.engines import EnginePool
from edge.fetch import Fetcher
from edge.store import MemoryStore

_HTTP = httpx.Limits(max_connections=4, max_keepalive_connections=4)
_TIMEOUT_SECONDS = 120.0


@dataclass(frozen=True)
class Place:
    """A coordinator: its address and key; and the way to it, if that is not HTTP over a socket."""

    url: str
    admin_key: str
    transport: httpx.BaseTransport | None = None
    process_id: int = 0  # of a coordinator that was started for this run; 0: not ours


@dataclass(frozen=True)
class WorldPlan:
    """What a worker process needs to make its world; travels to it."""

    place: Place
    scenario: Scenario
    folder: Path  # that the scenario's paths are relative to
    task: Task
    manifest_sha256: str
    blobs: dict[str, bytes]  # of the bundle

    def __call__(self) -> World:
        """Load the data, open the programs on every runtime that a device class has."""
        dataset = load_data(self.scenario, self.folder)
        runtimes = sorted({kind.runtime for kind in self.scenario.device})
        transport = self.place.transport or httpx.HTTPTransport(limits=_HTTP, trust_env=False)
        return World(
            url=self.place.url,
            scenario=self.scenario,
            task=self.task,
            dataset=dataset,
            shards=shards.deal(self.scenario, dataset),
            traits=Traits(self.scenario),
            transport=transport,
            pools={runtime: open_pool(runtime, self.manifest_sha256, self.blobs) for runtime in runtimes},
        )


def emulate(
    scenario: Scenario,
    place: Place,
    task_name: str,
    *,
    out: Path,
    folder: Path = Path(),
    workers: int = 2,
    label: str = "",
    quiet: bool = False,
) -> dict[str, Any]:
    """Train the task with the scenario's fleet; record the run in `out`; return its summary. `workers` 0: inline."""
    with httpx.Client(transport=_owned(place), timeout=_TIMEOUT_SECONDS, trust_env=False) as http:
        operator = Operator(http, place.url, place.admin_key)
        record = operator.task(operator.find(task_name)["task_id"])
        task = strict.build(Task, record["task"], InvalidTask)
        if record["committed_rounds"] or record["status"] != "running":
            raise InvalidInput(
                f"task {record['name']} is {record['status']} with {record['committed_rounds']} rounds done",
                remedy="publish it again: an emulation begins at round 1",
            )
        plan = _plan(scenario, place, folder, operator, record, task)
        label = label or ("FedAvg + FedReLa" if task.relabel.enabled else "FedAvg")
        dataset = load_data(scenario, folder)
        counts = shards.deal(scenario, dataset).class_counts
        header = {
            "label": label,
            "scenario": dataclasses.asdict(scenario),
            "task": dataclasses.asdict(task),
            "manifest_sha256": plan.manifest_sha256,
            "class_counts": counts.tolist(),
            "class_groups": partition.frequency_groups(counts),
            "test_examples": len(dataset.y_test),
        }
        make = Processes(workers, plan) if workers else Inline(plan)
        with (
            Recorder(out, header) as recorder,
            make as crew,
            Progress(f"{label}, seed {task.seed}", task.rounds, quiet=quiet) as progress,
        ):
            pids = crew.pids() if isinstance(crew, Processes) else []
            judge = Judge(operator, plan, dataset, recorder, progress, _processes([*pids, place.process_id]))
            judge.judge(0, record["initial_checkpoint_sha256"], updates=0, t=0.0)
            traits = Traits(scenario)
            Fleet(scenario, task, record["task_id"], operator, crew, traits, judge).run()
            summary = judge.summary()
            recorder.finish(summary)
    return summary


@dataclass
class Judge:
    """Records what happens, and judges every global model on the balanced test set."""

    operator: Operator
    plan: WorldPlan
    dataset: Dataset
    recorder: Recorder
    progress: Progress
    processes: list[psutil.Process]
    started_at: float = field(default_factory=time.monotonic)
    trained_at: float = 0.0  # when enrolment was over
    updates: int = 0
    peak_bytes: int = 0
    last_t: float = 0.0
    final: RoundResult | None = None
    _engine: Engine | None = None

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
        self.judge(record["round"], record["checkpoint_sha256"], updates=record["updates"], t=t)
        self.peak_bytes = max(self.peak_bytes, sum(_resident(process) for process in self.processes))

    def judge(self, number: int, checkpoint_sha256: str, *, updates: int, t: float) -> None:
        """Evaluate a checkpoint and record the figures."""
        if self._engine is None:
            pool = open_pool("onnx", self.plan.manifest_sha256, self.plan.blobs)
            self._engine = pool.known(self.plan.manifest_sha256)
        assert self._engine is not None  # open_pool opens it
        weights = tensors.from_bytes(self.operator.blob(checkpoint_sha256), self._engine.manifest.weights)
        counts = shards.deal(self.plan.scenario, self.dataset).class_counts
        accuracy, loss = evaluate(
            self._engine, weights, self.dataset.x_test, self.dataset.y_test, partition.frequency_groups(counts)
        )
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
            "virtual_seconds": self.final.t,
            "machine": {
                "seconds": now - self.started_at,
                "training_seconds": now - self.trained_at,
                "updates_per_second": self.updates / max(now - self.trained_at, 1e-9),
                "peak_memory_bytes": self.peak_bytes,
            },
        }


def load_data(scenario: Scenario, folder: Path) -> Dataset:
    """The scenario's dataset."""
    data = scenario.data
    return datasets.load(data.dataset, test_per_class=data.test_per_class, seed=scenario.seed, folder=folder)


def open_pool(runtime: str, manifest_sha256: str, blobs: dict[str, bytes]) -> EnginePool:
    """A pool that has the bundle open on `runtime` and has run its golden steps. Raises as `edge.fetch` does."""
    pool, cache = EnginePool(runtimes=(runtime,)), MemoryStore()
    for sha256, body in blobs.items():
        cache.put(f"blobs/{sha256}", body)
    nowhere = CoordinatorApi(httpx.Client(trust_env=False), "http://nowhere.invalid")
    fetcher = Fetcher(nowhere, MemoryStore(), cache, pool, pinned_key="")
    fetcher.test(manifest_sha256, fetcher.engine(manifest_sha256))
    return pool


def _plan(
    scenario: Scenario, place: Place, folder: Path, operator: Operator, record: dict[str, Any], task: Task
) -> WorldPlan:
    manifest_sha256 = record["manifest_sha256"]
    body = operator.blob(manifest_sha256)
    manifest: Manifest = bundle.parse_manifest(body)
    _check_runtimes(scenario, manifest)
    blobs = {sha256: operator.blob(sha256) for sha256, _ in manifest.files().values()}
    return WorldPlan(place, scenario, folder, task, manifest_sha256, blobs | {manifest_sha256: body})


def _check_runtimes(scenario: Scenario, manifest: Manifest) -> None:
    for kind in scenario.device:
        if manifest.train_step.file(kind.runtime) is None:
            raise InvalidInput(
                f"device class {kind.name!r} runs {kind.runtime}, and the bundle has no such programs",
                remedy="export with --runtime both, or change the class's runtime",
            )


def _owned(place: Place) -> httpx.BaseTransport:
    return place.transport or httpx.HTTPTransport(limits=_HTTP, trust_env=False)


def _processes(pids: list[int]) -> list[psutil.Process]:
    return [psutil.Process(), *(psutil.Process(pid) for pid in pids if pid)]


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
