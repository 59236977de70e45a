"""One task of an emulated fleet: a coordinator of its own, real clients, the exported programs.

May import numpy, httpx, `core`, `edge` and `fedrela.emulator`; the coordinator is the real one, spoken to
in this process over ASGI, which gives the same weights as over sockets.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, get_args

import httpx
import numpy as np
from numpy.typing import NDArray

from fedrela.core import tensors
from fedrela.core.bundle import Bundle
from fedrela.core.task import Task
from fedrela.core.tensors import Params
from fedrela.core.wire import FailureCode
from fedrela.edge.engines.engine import Engine
from fedrela.edge.engines.pool import EnginePool
from fedrela.edge.training import local_round
from fedrela.edge.training.examples import Examples
from fedrela.edge.training.local_round import Turn
from fedrela.emulator import scenario as scenarios
from fedrela.emulator.connections import local_coordinator
from fedrela.emulator.connections.admin import Operator
from fedrela.emulator.data.datasets import Dataset
from fedrela.emulator.data.shards import Shards, deal
from fedrela.emulator.devices.world import World
from fedrela.emulator.fleet.fleet import EmulationFailed, Fleet
from fedrela.emulator.fleet.messages import Done
from fedrela.emulator.fleet.profiles import Traits
from fedrela.emulator.scenario import DeviceClass, Scenario
from fedrela.emulator.workers.workers import Inline
from fedrela.study.config import Setting

_TIMEOUT_SECONDS = 120.0
_PREDICT_BATCH = 256
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
        operator = Operator(http, url, admin_key)
        task_id = operator.publish(opened, task)
        traits = Traits(fleet)

        def world() -> World:
            pools = {"onnx": EnginePool(runtimes=("onnx",), threads=1)}
            return World(url, fleet, task, dataset, deal(fleet, dataset), traits, transport, pools)

        watch = _Watch(operator, opened, keep, committed)
        with Inline(world) as workers:
            Fleet(fleet, task, task_id, operator, workers, traits, watch).run()
        return Trained(watch.weights, watch.bytes_up, watch.bytes_down, watch.updates)


@dataclass
class _Watch:
    """Keeps what a study needs of a run."""

    operator: Operator
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
            body = self.operator.blob(record["checkpoint_sha256"])
            self.weights[number] = tensors.from_bytes(body, self.opened.manifest.weights)
        self.tell(number)


def engine(opened: Bundle) -> Engine:
    """The device's own engine on a bundle, for evaluation."""
    return EnginePool(runtimes=("onnx",)).open(
        opened.seal.manifest_sha256, opened.manifest, lambda file: (opened.folder / file.path).read_bytes()
    )


def predict(runner: Engine, weights: Params, x: NDArray[Any]) -> NDArray[np.float32]:
    """Probabilities (n, C) by the exported `predict` program, without augmentation (every uniform at its middle)."""
    name = runner.manifest.x[0].name
    parts = []
    for start in range(0, len(x), _PREDICT_BATCH):
        rows = x[start : start + _PREDICT_BATCH]
        randoms = {
            item.name: np.full([len(rows) if isinstance(size, str) else size for size in item.shape], 0.5, np.float32)
            for item in runner.manifest.predict.role("random")
        }
        parts.append(runner.predict(weights, {name: rows}, randoms))
    return np.concatenate(parts)


def relabels(
    runner: Engine, task: Task, fleet: Scenario, shards: Shards, dataset: Dataset, weights: Params
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Old and new labels of all devices' samples at the task's start: replayed, since devices tell nobody.

    Each device's draws follow from its secret, which an emulation knows; so these are the labels that were trained on.
    """
    traits, number = Traits(fleet), task.relabel.start_round(task.rounds)
    old, new = [], []
    for device in range(fleet.devices):
        rows = shards.indices(device)
        examples = Examples({runner.manifest.x[0].name: dataset.x[rows]}, dataset.y[rows])
        turn = Turn(task, number, traits.of(device).secret)
        old.append(examples.y)
        new.append(local_round.relabel(runner, turn, weights, examples))
    return np.concatenate(old), np.concatenate(new)
