"""One task of an emulated fleet: a coordinator of its own, real clients, the exported programs.

The coordinator is the real one, spoken to in this process over ASGI, which gives the same weights as over sockets.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, get_args

import httpx
import numpy as np
from numpy.typing import NDArray

from fedrela.coordinator.admin_client import AdminClient
from fedrela.core import tensors
from fedrela.core.bundle import Bundle
from fedrela.core.task import Task
from fedrela.core.tensors import Params
from fedrela.core.wire import FailureCode
from fedrela.edge.engines.engine import Engine, RunNative
from fedrela.edge.engines.pool import EnginePool
from fedrela.edge.training import local_round
from fedrela.edge.training.examples import Examples
from fedrela.edge.training.local_round import LocalRound
from fedrela.emulator import scenario as scenarios
from fedrela.emulator.connections import local_coordinator
from fedrela.emulator.data.datasets import Dataset
from fedrela.emulator.data.shards import Shards, deal
from fedrela.emulator.devices.shared_context import SharedContext
from fedrela.emulator.fleet.fleet import EmulationFailed, Fleet
from fedrela.emulator.fleet.messages import Done
from fedrela.emulator.fleet.profiles import DeviceProfiles
from fedrela.emulator.scenario import DeviceClass, Scenario
from fedrela.emulator.workers.workers import Inline
from fedrela.study.config import Setting

_TIMEOUT_SECONDS = 120.0
# Virtual devices are fast and virtual leases long: this study is about learning, not about stragglers.
DEVICE = DeviceClass(steps_per_second=1000.0)


@dataclass(frozen=True)
class Trained:
    """What a task left: weights after the rounds that were asked for, and what went over the wire."""

    weights: dict[int, Params]
    bytes_up: int
    bytes_down: int
    updates: int


def scenario(setting: Setting, seed: int) -> Scenario:
    """The fleet that holds a setting's data: its seed decides the samples, their owners and the devices' secrets."""
    data = scenarios.Data(
        profile=setting.profile,
        imbalance=setting.imbalance,
        largest=setting.largest,
        split="classes" if setting.classes_per_device else "dirichlet",
        alpha=setting.alpha,
        classes_per_device=setting.classes_per_device or 2,
    )
    return Scenario(name="study", devices=setting.devices, seed=seed, max_hours=1e6, data=data, device=(DEVICE,))


def train(
    opened: Bundle,
    task: Task,
    fleet: Scenario,
    dataset: Dataset,
    keep: frozenset[int],
    committed: Callable[[int], None] = lambda number: None,
) -> Trained:
    """Run a task to its end and keep the weights after the rounds in `keep`. Raises EmulationFailed."""
    with (
        local_coordinator.throwaway_folder() as folder,
        local_coordinator.in_process(folder) as (url, admin_key, transport),
    ):
        http = httpx.Client(transport=transport, timeout=_TIMEOUT_SECONDS, trust_env=False)
        admin = AdminClient(url, admin_key, http=http)
        task_id = admin.publish(opened.folder, task)
        profiles = DeviceProfiles(fleet)

        def context(run_native: RunNative) -> SharedContext:
            pools = {"onnx": EnginePool(runtimes=("onnx",), threads=1, run_native=run_native)}
            return SharedContext(url, fleet, task, dataset, deal(fleet, dataset), profiles, transport, pools)

        observer = _CheckpointKeeper(admin, opened, keep, committed)
        with Inline(context) as workers:
            Fleet(fleet, task, task_id, admin, workers, profiles, observer).run()
        return Trained(observer.weights, observer.bytes_up, observer.bytes_down, observer.updates)


@dataclass
class _CheckpointKeeper:
    """Keeps what a study needs of a run."""

    admin: AdminClient
    opened: Bundle
    keep: frozenset[int]
    tell: Callable[[int], None]
    weights: dict[int, Params] = field(default_factory=dict)
    bytes_up: int = 0
    bytes_down: int = 0
    updates: int = 0

    def started(self, devices: int) -> None:
        """Enrolled."""

    def done(self, done: Done) -> None:
        """Count bytes and updates. Raises EmulationFailed: nothing ails a study's devices, so a failure is a defect."""
        if done.kind == "error" or done.reason in get_args(FailureCode):
            problem = f"device {done.device} could not take its turn: {done.reason}"
            raise EmulationFailed(problem, remedy=f"see what `fedrela verify {self.opened.folder}` says")
        self.bytes_up += sum(event.bytes_up for event in done.events)
        self.bytes_down += sum(event.bytes_down for event in done.events)
        self.updates += done.kind == "uploaded"

    def committed(self, record: dict[str, Any], t: float) -> None:
        """Fetch the global model if it is one to keep."""
        number = int(record["round"])
        if number in self.keep:
            body = self.admin.download(record["checkpoint_sha256"])
            self.weights[number] = tensors.from_bytes(body, self.opened.manifest.weights)
        self.tell(number)


def engine(opened: Bundle) -> Engine:
    """The device's own engine on a bundle, for evaluation."""
    return EnginePool(runtimes=("onnx",)).open(
        opened.seal.manifest_sha256, opened.manifest, lambda file: (opened.folder / file.path).read_bytes()
    )


def relabels(
    runner: Engine, task: Task, fleet: Scenario, shards: Shards, dataset: Dataset, weights: Params
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Old and new labels of all devices' samples at the task's start: replayed, since devices tell nobody.

    Each device's draws follow from its secret, which an emulation knows; so these are the labels that were trained on.
    """
    profiles, number = DeviceProfiles(fleet), task.relabel.start_round(task.rounds)
    old, new = [], []
    for device in range(fleet.devices):
        rows = shards.indices(device)
        examples = Examples({runner.manifest.x[0].name: dataset.x[rows]}, dataset.y[rows])
        local = LocalRound(task, number, profiles.of(device).secret)
        old.append(examples.y)
        new.append(local_round.relabel(runner, local, weights, examples))
    return np.concatenate(old), np.concatenate(new)
