"""An engine in a process of its own gives the bits that one in this process gives, whatever it is asked."""

import itertools
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fedrela.conformance.files import VECTORS
from fedrela.conformance.rounds.model_cases import read_data
from fedrela.core import bundle
from fedrela.core.bundle import Bundle
from fedrela.core.errors import InvalidBundle, InvalidTask, MissingDependency, VerificationFailed
from fedrela.core.task import LocalTraining, Relabel, Rounds
from fedrela.edge.engines.engine import Batch, Engine, UnloadableProgram
from fedrela.edge.engines.pool import EnginePool, self_test
from fedrela.edge.owner.settings import DeviceSettings
from fedrela.edge.sandbox.process import Limits, Sandbox
from fedrela.edge.storage.store import MemoryStore
from fedrela.edge.training.local_round import LocalRound, predict, relabel, train
from tests.edge import softmax_bundle as small
from tests.edge.conftest import some_examples
from tests.edge.engines.test_onnx_engine import batch
from tests.edge.live import LiveCoordinator, coordinator, device, small_task

MODELS = ("two-inputs", "tokens", "numbers", "batch-norm")


def everything(engine: Engine, read: Bundle, name: str) -> list[np.ndarray]:
    """Every method of an engine on a model's data, and all that it gave."""
    examples = read_data((VECTORS / "models" / name / "data.safetensors").read_bytes())
    local = LocalRound(small_task(relabel=Relabel(start=1, threshold_percent=30.0)), 1, b"s" * 32)
    results: list[np.ndarray] = [predict(engine, local, read.weights, examples)]
    labels = relabel(engine, local, read.weights, examples)
    state = engine.start(read.weights)
    for step in itertools.chain.from_iterable(train(engine, local, examples, labels, state)):
        results.append(np.array([step.totals.loss_sum, step.totals.correct_sum, step.totals.weight_sum]))
    restored = engine.restore(read.weights, engine.snapshot(state))
    short = replace(local.task, local=replace(local.task.local, max_steps=2))
    for _ in train(engine, replace(local, task=short), examples, labels, restored):
        pass
    trained = engine.weights(restored)
    results += [labels, *engine.snapshot(state).values(), *trained.values()]
    return [*results, predict(engine, local, trained, examples)]


@pytest.mark.parametrize("name", MODELS)
def test_a_sandboxed_engine_gives_the_same_bits(name: str, sandbox: Sandbox, opened) -> None:
    read = bundle.read(VECTORS / "models" / name / "bundle")
    inside, here = opened(read, sandbox), opened(read, None)
    self_test(inside, (read.folder / "golden.safetensors").read_bytes())
    for one, other in zip(everything(inside, read, name), everything(here, read, name), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_whole_assignment_gives_the_same_update(threads: int, tmp_path: Path, small_bundle: Bundle) -> None:
    updates = []
    for sandbox in (None, Sandbox(("onnx",), threads=threads)):
        store, pool = MemoryStore(), EnginePool(threads=threads, sandbox=sandbox)
        with coordinator(tmp_path / f"coordinator-{sandbox is None}") as live:
            live.publish(small_bundle, small_task(relabel=Relabel(start=1), round=Rounds(goal=1, smallest_cohort=1)))
            assert device(live, 1, some_examples(60), store=store, pool=pool).run_once().kind == "uploaded"
        updates.append(store.get("last/update"))
        if sandbox:
            sandbox.close()
    assert updates[0] is not None
    assert updates[0] == updates[1]


def test_what_a_runtime_refuses_is_the_same_error(small_bundle: Bundle, sandbox: Sandbox, opened) -> None:
    engine = opened(small_bundle, sandbox)
    state, fed = engine.start(small.start_weights()), batch(4, 0)
    with pytest.raises(InvalidTask, match=r"'momentum'.*local\.hyperparameters\.momentum"):
        engine.train_step(state, Batch(fed.x, fed.y, fed.weight, {"lr": 1}, fed.randoms))
    for torn in (
        Batch(fed.x, fed.y[:3], fed.weight, fed.hyperparameters, fed.randoms),
        Batch(fed.x, fed.y.astype(np.float32), fed.weight, fed.hyperparameters, fed.randoms),
    ):
        with pytest.raises(InvalidBundle, match="check that the data have the shapes"):
            engine.train_step(state, torn)
    assert engine.train_step(state, fed).weight_sum == 3.0  # and it goes on


def test_a_program_that_can_not_be_loaded_and_one_of_another_shape(small_bundle: Bundle, sandbox: Sandbox) -> None:
    pool = EnginePool(sandbox=sandbox)
    with pytest.raises(UnloadableProgram, match="holds 0 graphs"):
        pool.open("0" * 64, small_bundle.manifest, lambda file: b"")
    wider = replace(small_bundle.manifest, classes=small.CLASSES + 1)
    with pytest.raises(InvalidBundle):  # the child parses the manifest as a device does
        pool.open("1" * 64, wider, lambda file: (small_bundle.folder / file.path).read_bytes())
    text = small.PREDICT.replace("(float[B, 3] probabilities)", "(float[B, W] probabilities)")
    text = text.replace("Softmax <axis = 1> (logits)", "Concat <axis = 1> (logits, logits)")
    bodies = {f"{name}.onnx": (small_bundle.folder / f"{name}.onnx").read_bytes() for name in ("train_step", "relabel")}
    bodies["predict.onnx"] = small.program(text)
    engine = pool.open("2" * 64, small_bundle.manifest, lambda file: bodies[file.path])
    with pytest.raises(VerificationFailed, match=r"predict gave 'probabilities' as float32 \(4, 6\)"):
        engine.predict(small.start_weights(), batch(4, 0).x, batch(4, 0).randoms)


def test_two_bundles_share_a_process_and_states_that_are_gone_are_forgotten(
    small_bundle: Bundle, sandbox: Sandbox, opened
) -> None:
    read = bundle.read(VECTORS / "models" / "numbers" / "bundle")
    one, other = opened(small_bundle, sandbox), opened(read, sandbox)
    expected = opened(small_bundle, None)
    states = [expected.start(small.start_weights()), one.start(small.start_weights())]
    for number in range(3):
        other.start(read.weights)  # nobody holds it
        totals = [
            engine.train_step(state, batch(5, number)) for engine, state in zip((expected, one), states, strict=True)
        ]
        assert totals[0] == totals[1]
    assert sandbox.generation == 1


def test_a_runtime_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox = Sandbox(("tensorflow",))
    with pytest.raises(MissingDependency, match="tensorflow is not installed"):
        sandbox.version("tensorflow")
    sandbox.close()


def test_a_device_that_requires_a_sandbox_refuses_a_pool_without(live: LiveCoordinator, sandbox: Sandbox) -> None:
    settings = DeviceSettings(require_sandbox=True)
    with pytest.raises(MissingDependency, match=r"not confined here: none \(programs run in the device's own process"):
        device(live, 1, some_examples(), settings=settings)
    device(live, 2, some_examples(), settings=settings, pool=EnginePool(sandbox=sandbox))


def test_executorch_programs_run_in_it_too() -> None:
    read = bundle.read(VECTORS / "models" / "batch-norm" / "bundle")
    sandbox = Sandbox(("executorch",), limits=Limits(seconds=120.0))
    engines = []
    for place in (sandbox, None):
        pool = EnginePool(("executorch",), sandbox=place)
        engines.append(pool.open("0" * 64, read.manifest, lambda file: (read.folder / file.path).read_bytes()))
    assert sandbox.confinement
    self_test(engines[0], (read.folder / "golden.safetensors").read_bytes())
    for one, other in zip(*(everything(engine, read, "batch-norm") for engine in engines), strict=True):
        np.testing.assert_array_equal(one, other)
    sandbox.close()


def test_the_device_itself_never_loads_the_runtime(small_bundle: Bundle) -> None:
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from fedrela.core import bundle\n"
        "from fedrela.edge.client import DeviceClient\n"
        "from fedrela.edge.engines.pool import EnginePool, self_test\n"
        "from fedrela.edge.sandbox.process import Sandbox\n"
        "read = bundle.read(Path(sys.argv[1]))\n"
        "pool = EnginePool(sandbox=Sandbox(('onnx',)))\n"
        "engine = pool.open('m', read.manifest, lambda file: (read.folder / file.path).read_bytes())\n"
        "self_test(engine, (read.folder / 'golden.safetensors').read_bytes())\n"
        "assert pool.offered()[0].startswith('onnx 1.')\n"
        "assert not {'onnxruntime', 'torch'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(small_bundle.folder)], cwd=Path(__file__).parents[3], check=True)


def test_a_host_that_loaded_the_runtime_first_gets_another_process(small_bundle: Bundle) -> None:
    script = (
        "import os, sys, warnings\n"
        "os.environ.pop('ORT_DISABLE_TELEMETRY', None)\n"
        "import onnxruntime\n"
        "from pathlib import Path\n"
        "from fedrela.core import bundle\n"
        "from fedrela.edge.engines.pool import EnginePool, self_test\n"
        "read = bundle.read(Path(sys.argv[1]))\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('default')\n"
        "    pools = [EnginePool() for _ in range(2)]\n"
        "assert [str(one.message)[:44] for one in caught] == ['onnxruntime was imported before fedrela, so ']\n"
        "engine = pools[0].open('m', read.manifest, lambda file: (read.folder / file.path).read_bytes())\n"
        "self_test(engine, (read.folder / 'golden.safetensors').read_bytes())\n"
        "assert type(engine).__name__ == 'SandboxedEngine'\n"
        "child = Path(f'/proc/{pools[0].sandbox.process_id}/environ').read_bytes()\n"
        "assert b'ORT_DISABLE_TELEMETRY=1' in child\n"
    )
    command = [sys.executable, "-c", script, str(small_bundle.folder)]
    done = subprocess.run(command, cwd=Path(__file__).parents[3], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_steps_are_done_several_at_once_and_none_crosses_a_checkpoint(
    small_bundle: Bundle, sandbox: Sandbox, opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = small_task(local=LocalTraining(epochs=10, batch_size=4), relabel=Relabel(enabled=False))
    local, examples = LocalRound(task, 1, b"s" * 32), some_examples(30)
    engine, here = opened(small_bundle, sandbox), opened(small_bundle, None)
    monkeypatch.setattr("fedrela.edge.sandbox.engine.AT_ONCE_SECONDS", 60.0)  # as on a machine that is fast enough
    state, expected = engine.start(small.start_weights()), here.start(small.start_weights())
    at_once = [
        [step.number for step in steps] for steps in train(engine, local, examples, examples.y, state, stop_every=30)
    ]
    assert at_once == [[1], list(range(2, 31)), list(range(31, 61)), list(range(61, 81))]
    totals = [step.totals for steps in train(here, local, examples, examples.y, expected) for step in steps]
    assert len(totals) == 80
    for name, array in here.weights(expected).items():
        np.testing.assert_array_equal(engine.weights(state)[name], array)


def test_large_batches_are_sent_one_at_a_time(
    small_bundle: Bundle, sandbox: Sandbox, opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedrela.edge.sandbox.engine.AT_ONCE_BYTES", 1)
    monkeypatch.setattr("fedrela.edge.sandbox.engine.AT_ONCE_SECONDS", 60.0)
    engine = opened(small_bundle, sandbox)
    state = engine.start(small.start_weights())
    batches = iter([batch(4, number) for number in range(5)])
    assert [len(engine.train_steps(state, batches, 5)) for _ in range(5)] == [1] * 5
    assert next(batches, None) is None
