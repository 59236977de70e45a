"""The end of a client round: what an earlier version kept of a statistic is owed to nobody."""

from dataclasses import replace

import numpy as np
import pytest

from fedrela.core import encodings, tensors
from fedrela.core.bundle import Bundle, Program, ProgramInput
from fedrela.core.manifest import PROGRAMS
from fedrela.core.task import Aggregation
from fedrela.core.wire import Assignment
from fedrela.edge.engines.onnx_engine import OnnxEngine
from fedrela.edge.network.fetch import Job
from fedrela.edge.storage import state
from fedrela.edge.storage.store import MemoryStore
from fedrela.edge.training import finishing
from fedrela.edge.training.local_round import LocalRound
from tests.edge.live import small_task

STATISTIC = "b"


@pytest.fixture(scope="module")
def job(small_bundle: Bundle) -> Job:
    """Of a model one of whose tensors is a statistic, with top-k."""
    step = small_bundle.manifest.train_step
    inputs = tuple(ProgramInput(i.name, "buffer", i.shape) if i.name == STATISTIC else i for i in step.inputs)
    manifest = replace(small_bundle.manifest, train_step=Program(inputs, step.outputs, step.files))
    programs = {name: (small_bundle.folder / f"{name}.onnx").read_bytes() for name in PROGRAMS}
    assignment = Assignment("a", "t", 2, *("0" * 64,) * 3, 100, 60.0, 60.0, "token")
    task = small_task(aggregation=Aggregation(encoding="top-k", top_k_fraction=0.1))
    return Job(assignment, task, OnnxEngine(manifest, programs), small_bundle.weights)


def owing(names: tuple[str, ...], like: dict[str, np.ndarray]) -> MemoryStore:
    """The store of a device whose last update dropped 0.5 of every value of these tensors."""
    store = MemoryStore()
    store.put(f"residuals/{state.task_key('t')}", tensors.to_bytes({name: like[name] * 0 + 0.5 for name in names}))
    return store


def test_a_statistic_among_what_version_0_1_still_owes_is_left_out(job: Job) -> None:
    """Version 0.1 kept a residual of every tensor that travels; statistics travel whole now."""
    change = {
        name: np.linspace(1, 2, array.size, dtype=np.float32).reshape(array.shape)
        for name, array in job.weights.items()
    }
    local = LocalRound(job.task, 2, b"secret")
    names = {"version 0.1": tuple(change), "now": tuple(name for name in change if name != STATISTIC)}
    bodies = {by: finishing.plain(job, local, change, 3, owing(kept, job.weights)) for by, kept in names.items()}
    assert bodies["version 0.1"] == bodies["now"]
    sent, _ = encodings.decode(bodies["now"], job.engine.manifest.weights, "top-k", {STATISTIC})
    np.testing.assert_array_equal(sent[STATISTIC], change[STATISTIC])  # whole, and nothing added
    assert sent["w"].max() == np.float32(2.5)  # the largest change, and what was owed
