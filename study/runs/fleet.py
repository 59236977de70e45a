"""One task of an emulated fleet: a coordinator of its own, real clients, the exported programs.

The coordinator is the real one, spoken to in this process over ASGI, which gives the same weights as over sockets.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
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
from fedrela.edge.engines.engine import Engine, run_here
from fedrela.edge.engines.pool import EnginePool
from fedrela.edge.training import local_round
from fedrela.edge.training.examples import Examples
from fedrela.edge.training.local_round import LocalRound
from fedrela.emulator import scenario as scenarios
from fedrela.emulator.connections import local_coordinator
from fedrela.emulator.data.datasets import Dataset
from fedrela.emulator.data.shards import Shards
from fedrela.emulator.devices.shared_context import SharedContext
from fedrela.emulator.fleet.fleet import EmulationFailed, Fleet
from fedrela.emulator.fleet.messages import Done
from fedrela.emulator.fleet.profiles import DeviceProfiles
from fedrela.emulator.scenario import DeviceClass, Scenario
from fedrela.study.config import Setting
from fedrela.study.runs import memories
from fedrela.study.runs.attentive import AttentiveDevices
from fedrela.study.runs.pause import Pause
from fedrela.study.runs.snapshots import Progress, Snapshots

_TIMEOUT_SECONDS = 120.0
# Virtual devices are fast and virtual leases long: this study is about learning, not about stragglers.
DEVICE = DeviceClass(steps_per_second=1000.0)


@dataclass(frozen=True)
class Trained:
    """What a task left: weights after the rounds that were asked for, what went over the wire, and how long it took."""

    weights: dict[int, Params]
    progress: Progress


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
    shards: Shards,
    dataset: Dataset,
    keep: frozenset[int],
    committed: Callable[[int], None] = lambda number: None,
    snapshots: Snapshots | None = None,
    pause: Pause | None = None,
    runner: Engine | None = None,
) -> Trained:
    """Run a task on the devices of `shards` to its end, and keep the weights after the rounds in `keep`.

    With `snapshots` a task that was killed goes on from its last round, to the bit as if it had not been. `committed`:
    called with each round that is trained now. `runner`: in place of the device's own engine. Raises EmulationFailed.
    """
    before = snapshots.newest() if snapshots else None
    with local_coordinator.throwaway_folder() as folder:
        remembered = snapshots.restore(folder) if snapshots and before else b""
        with local_coordinator.in_process(folder) as (url, admin_key, transport):
            http = httpx.Client(transport=transport, timeout=_TIMEOUT_SECONDS, trust_env=False)
            admin = AdminClient(url, admin_key, http=http)
            progress = before or Progress(admin.publish(opened.folder, task))
            fleet, profiles = shards.scenario, DeviceProfiles(shards.scenario)
            pool = EnginePool(runtimes=("onnx",), threads=1, run_native=run_here)
            if runner:
                pool.add(opened.seal.manifest_sha256, runner)
            context = SharedContext(url, fleet, task, dataset, shards, profiles, transport, {"onnx": pool})
            workers = AttentiveDevices(context, pause or Pause(), progress)
            with workers:
                rounds = range(progress.round + 1, task.rounds)
                saver = _SnapshotSaver(snapshots, folder, workers, context, remembered, rounds)
                keeper = _CheckpointKeeper(admin, opened, keep, committed, saver)
                Fleet(fleet, task, progress.task_id, admin, workers, profiles, keeper).run()
            return Trained(keeper.weights, workers.progress(task.rounds))


@dataclass
class _SnapshotSaver:
    """Saves what the task needs to go on, after rounds in `rounds`: with the last one it is over."""

    snapshots: Snapshots | None
    coordinator: Path
    workers: AttentiveDevices
    context: SharedContext
    remembered: bytes  # by the devices, at the snapshot that the task goes on from; none: it begins
    rounds: range
    _saved_at: float = -math.inf

    def enrolled(self) -> None:
        """Devices that went through earlier rounds are those that they were; they have enrolled once too often."""
        if self.remembered:
            memories.restore(self.context, self.remembered)

    def committed(self, number: int) -> None:
        """Save, if it is time."""
        if self.snapshots is None or number not in self.rounds:
            return
        if time.monotonic() - self._saved_at >= self.snapshots.every_seconds:
            self.snapshots.save(self.coordinator, self.workers.progress(number), memories.dump(self.context))
            self._saved_at = time.monotonic()


@dataclass
class _CheckpointKeeper:
    """Keeps the global models that a study needs, and hears of devices that fail."""

    admin: AdminClient
    opened: Bundle
    keep: frozenset[int]
    tell: Callable[[int], None]
    saver: _SnapshotSaver
    weights: dict[int, Params] = field(default_factory=dict)

    def started(self, devices: int) -> None:
        """Enrolled."""
        self.saver.enrolled()

    def done(self, done: Done) -> None:
        """Raises EmulationFailed: nothing ails a study's devices, so a failure is a defect."""
        if done.kind == "error" or done.reason in get_args(FailureCode):
            problem = f"device {done.device} could not take its turn: {done.reason}"
            raise EmulationFailed(problem, remedy=f"see what `fedrela verify {self.opened.folder}` says")

    def committed(self, record: dict[str, Any], t: float) -> None:
        """Fetch the global model if it is one to keep. After a resumption the rounds before it come again: for that."""
        number = int(record["round"])
        if number in self.keep:
            body = self.admin.download(record["checkpoint_sha256"])
            self.weights[number] = tensors.from_bytes(body, self.opened.manifest.weights)
        if number >= self.saver.rounds.start:
            self.tell(number)
            self.saver.committed(number)


def engine(opened: Bundle) -> Engine:
    """The device's own engine on a bundle, for evaluation."""
    return EnginePool(runtimes=("onnx",)).open(
        opened.seal.manifest_sha256, opened.manifest, lambda file: (opened.folder / file.path).read_bytes()
    )


def relabels(
    runner: Engine, task: Task, shards: Shards, dataset: Dataset, weights: Params
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Old and new labels of all devices' samples at the task's start: replayed, since devices tell nobody.

    Each device's draws follow from its secret, which an emulation knows; so these are the labels that were trained on.
    """
    profiles, number = DeviceProfiles(shards.scenario), task.relabel.start_round(task.rounds)
    old, new = [], []
    for device in range(shards.scenario.devices):
        rows = shards.indices(device)
        examples = Examples({runner.manifest.x[0].name: dataset.x[rows]}, dataset.y[rows])
        local = LocalRound(task, number, profiles.of(device).secret)
        old.append(examples.y)
        new.append(local_round.relabel(runner, local, weights, examples))
    return np.concatenate(old), np.concatenate(new)
