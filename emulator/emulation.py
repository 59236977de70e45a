"""One emulation from scenario to recorded run: read it first to see how the parts meet.

fetch the task and its bundle -> make what devices share -> enroll -> play the scenario, evaluate every global model

summary = emulate(scenario, CoordinatorAccess(url, admin_key), task_id, out=Path("runs/mine"), workers=2)
"""

import dataclasses
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import httpx

from fedrela.coordinator import trained_model
from fedrela.coordinator.admin_client import AdminClient
from fedrela.core import bundle, strict
from fedrela.core.bundle import Manifest
from fedrela.core.data import partition
from fedrela.core.errors import InvalidInput
from fedrela.core.protocol import task_json
from fedrela.core.task import Task
from fedrela.edge.engines.engine import Engine, RunNative, run_here
from fedrela.edge.engines.pool import EnginePool
from fedrela.edge.network import connection
from fedrela.edge.network.api import CoordinatorApi
from fedrela.edge.network.fetch import Fetcher
from fedrela.edge.storage.store import MemoryStore
from fedrela.emulator.connections.asgi import AsgiTransport
from fedrela.emulator.connections.minimal_http import ConcurrentTransport
from fedrela.emulator.connections.sockets import SocketTransport, by_network_settings
from fedrela.emulator.data import datasets, shards
from fedrela.emulator.data.datasets import Dataset
from fedrela.emulator.devices.shared_context import SharedContext
from fedrela.emulator.fleet.fleet import Fleet
from fedrela.emulator.fleet.profiles import DeviceProfiles
from fedrela.emulator.results.evaluation import Evaluator, processes
from fedrela.emulator.results.progress import Progress
from fedrela.emulator.results.record import Recorder
from fedrela.emulator.scenario import Scenario
from fedrela.emulator.workers import background
from fedrela.emulator.workers.ray_workers import RayWorkers
from fedrela.emulator.workers.worker import garbage_set_aside
from fedrela.emulator.workers.workers import Inline, Processes

# Connections are given up before the coordinator closes them (uvicorn does after 5 s), so that none is found dead.
_HTTP = httpx.Limits(max_connections=4, max_keepalive_connections=4, keepalive_expiry=2.0)
_TIMEOUT_SECONDS = 120.0

MODEL = "model"  # the folder of a run with its final model
RunBy = Literal["processes", "ray"]  # what runs the workers: the option --engine


@dataclass(frozen=True)
class CoordinatorAccess:
    """A coordinator: its address and key; and the transport to it, if that is not HTTP over sockets."""

    url: str
    admin_key: str
    transport: AsgiTransport | None = None
    process_id: int = 0  # of a coordinator that was started for this run; 0: not ours

    def devices_transport(self) -> ConcurrentTransport:
        """The devices' way; to a coordinator elsewhere by this machine's network settings."""
        if self.transport is not None:
            return self.transport
        return SocketTransport(self.url) if self.process_id else by_network_settings(self.url)

    def operators_transport(self) -> httpx.BaseTransport:
        """The operator's, likewise."""
        if self.transport is not None:
            return self.transport
        if self.process_id:
            return httpx.HTTPTransport(limits=_HTTP, trust_env=False, verify=False)  # plain HTTP on loopback
        return connection.transport(self.url, _HTTP)


@dataclass(frozen=True)
class ContextPlan:
    """What a worker process needs to make what its devices share; travels to it."""

    coordinator: CoordinatorAccess
    scenario: Scenario
    data: Path | Dataset  # where `datasets.share` put the arrays; or these themselves, for other machines
    task: Task
    manifest_sha256: str
    blobs: dict[str, bytes]  # of the bundle

    def __call__(self, run_native: RunNative) -> SharedContext:
        """Map the data, open the programs on every runtime that a device class has."""
        dataset = datasets.shared(self.data) if isinstance(self.data, Path) else self.data
        runtimes = sorted({kind.runtime for kind in self.scenario.device})
        return SharedContext(
            url=self.coordinator.url,
            scenario=self.scenario,
            task=self.task,
            dataset=dataset,
            shards=shards.deal(self.scenario, dataset),
            profiles=DeviceProfiles(self.scenario),
            transport=self.coordinator.devices_transport(),
            pools={
                runtime: open_pool(runtime, self.manifest_sha256, self.blobs, run_native=run_native)
                for runtime in runtimes
            },
        )


def emulate(
    scenario: Scenario,
    coordinator: CoordinatorAccess,
    task_name: str,
    *,
    out: Path,
    folder: Path = Path(),
    workers: int = 2,
    run_by: RunBy = "processes",
    ray_address: str = "",
    label: str = "",
    quiet: bool = False,
) -> dict[str, Any]:
    """Train a published task with the scenario's fleet; record the run in `out`; return its summary.

    `folder` is what the scenario's paths are relative to; `workers` 0 keeps every device in this process.
    `run_by` "ray" puts the workers on the cluster at `ray_address`, or on one that is started here.
    """
    with tempfile.TemporaryDirectory(prefix="fedrela-data-") as data, admin_of(coordinator) as admin:
        record = admin.task(admin.id_of(task_name))
        _check_fresh(record)
        plan = _plan(scenario, coordinator, Path(data), admin, record)
        dataset = load_data(scenario, folder, bundle.parse_manifest(plan.blobs[plan.manifest_sha256]))
        datasets.share(dataset, Path(data))
        if not quiet:
            print(shards.used(shards.deal(scenario, dataset), dataset), file=sys.stderr)
        label = label or ("FedAvg + FedReLa" if plan.task.relabel.enabled else "FedAvg")
        header = _header(label, plan, dataset)
        with (
            Recorder(out, header) as recorder,
            _crew(plan, dataset, workers, run_by, ray_address) as crew,
            Progress(f"{label}, seed {plan.task.seed}", plan.task.rounds, quiet=quiet) as progress,
        ):
            pids = [*(crew.pids() if isinstance(crew, Processes) else []), coordinator.process_id]
            engine = open_engine(plan.manifest_sha256, plan.blobs)
            groups, task_id = header["class_groups"], record["task_id"]
            evaluator = Evaluator(admin, task_id, engine, dataset, groups, recorder, progress, processes(pids))
            evaluator.evaluate(0, record["initial_checkpoint_sha256"], updates=0, t=0.0)
            with garbage_set_aside():
                Fleet(scenario, plan.task, task_id, admin, crew, DeviceProfiles(scenario), evaluator).run()
            summary = evaluator.summary()
            recorder.finish(summary)
        contents = trained_model.files(admin, plan.manifest_sha256, summary["final_sha256"])
        trained_model.write(out / MODEL, contents)
    return summary


def _crew(
    plan: ContextPlan, dataset: Dataset, workers: int, run_by: RunBy, ray_address: str
) -> Inline | Processes | RayWorkers:
    if run_by == "ray":
        return RayWorkers(max(workers, 1), dataclasses.replace(plan, data=dataset), address=ray_address)
    return Processes(workers, plan) if workers else Inline(plan, background=background.worthwhile())


def _check_fresh(record: dict[str, Any]) -> None:
    if record["committed_rounds"] or record["status"] != "running":
        raise InvalidInput(
            f"task {record['name']} is {record['status']} with {record['committed_rounds']} rounds done",
            remedy="publish it again: an emulation begins at round 1",
        )


def _header(label: str, plan: ContextPlan, dataset: Dataset) -> dict[str, Any]:
    """What a run says of itself before it begins."""
    counts = shards.deal(plan.scenario, dataset).class_counts
    return {
        "label": label,
        "scenario": dataclasses.asdict(plan.scenario),
        "task": dataclasses.asdict(plan.task),
        "manifest_sha256": plan.manifest_sha256,
        "class_names": list(bundle.parse_manifest(plan.blobs[plan.manifest_sha256]).class_names),
        "class_counts": counts.tolist(),
        "class_groups": partition.frequency_groups(counts),
        "test_examples": len(dataset.y_test),
    }


def load_data(scenario: Scenario, folder: Path, manifest: Manifest) -> Dataset:
    """The scenario's dataset; pictures are read for the model of `manifest`."""
    data = scenario.data
    held_out = data.test_per_class or None
    return datasets.load(data.dataset, test_per_class=held_out, seed=scenario.seed, folder=folder, manifest=manifest)


def open_engine(manifest_sha256: str, blobs: dict[str, bytes]) -> Engine:
    """The engine that evaluates a bundle's models. Raises as `open_pool` does."""
    engine = open_pool("onnx", manifest_sha256, blobs).known(manifest_sha256)
    assert engine is not None  # open_pool opened it
    return engine


def open_pool(
    runtime: str, manifest_sha256: str, blobs: dict[str, bytes], *, run_native: RunNative = run_here
) -> EnginePool:
    """A pool that has the bundle open on `runtime` and has run its golden steps. Raises as `fedrela.edge.network.fetch`
    does.
    """
    pool, cache = EnginePool(runtimes=(runtime,), run_native=run_native), MemoryStore()
    for sha256, body in blobs.items():
        cache.put(f"blobs/{sha256}", body)
    nowhere = CoordinatorApi(httpx.Client(transport=httpx.BaseTransport()), "http://nowhere.invalid")
    fetcher = Fetcher(nowhere, MemoryStore(), cache, pool)
    fetcher.test(manifest_sha256, fetcher.engine(manifest_sha256))
    return pool


def _plan(
    scenario: Scenario, coordinator: CoordinatorAccess, data: Path, admin: AdminClient, record: dict[str, Any]
) -> ContextPlan:
    task = task_json.decode(strict.to_json(record["task"]))  # as a device reads it: what isn't there is the protocol's
    manifest_sha256 = record["manifest_sha256"]
    manifest, blobs = download_bundle(admin, manifest_sha256)
    _check_runtimes(scenario, manifest)
    return ContextPlan(coordinator, scenario, data, task, manifest_sha256, blobs)


def download_bundle(admin: AdminClient, manifest_sha256: str) -> tuple[Manifest, dict[str, bytes]]:
    """A bundle's manifest, and all of its blobs by SHA-256."""
    body = admin.download(manifest_sha256)
    manifest = bundle.parse_manifest(body)
    files = {sha256: admin.download(sha256) for sha256, _ in manifest.files().values()}
    return manifest, files | {manifest_sha256: body}


def _check_runtimes(scenario: Scenario, manifest: Manifest) -> None:
    for kind in scenario.device:
        if manifest.train_step.file(kind.runtime) is None:
            raise InvalidInput(
                f"device class {kind.name!r} runs {kind.runtime}, and the bundle has no such programs",
                remedy="export with --runtime both, or change the class's runtime",
            )


@contextmanager
def admin_of(coordinator: CoordinatorAccess) -> Iterator[AdminClient]:
    """The coordinator's admin API, the way that the devices take."""
    with httpx.Client(transport=coordinator.operators_transport(), timeout=_TIMEOUT_SECONDS, trust_env=False) as http:
        yield AdminClient(coordinator.url, coordinator.admin_key, http=http)
