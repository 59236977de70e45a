"""Whatever becomes of a runtime's process, the device gets an error of ours, and the next assignment works."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from fedrela.core import strict
from fedrela.core.bundle import Bundle
from fedrela.core.errors import InvalidBundle, MissingDependency
from fedrela.core.task import LocalTraining, Relabel, Rounds
from fedrela.edge.engines.pool import EnginePool
from fedrela.edge.owner.settings import Event
from fedrela.edge.sandbox.process import EndedRuntime, Limits, Sandbox
from tests.edge import softmax_bundle as small
from tests.edge.conftest import some_examples
from tests.edge.engines.test_onnx_engine import batch
from tests.edge.live import LiveCoordinator, device, small_task
from tests.patience import PATIENCE_SECONDS

ROOT = Path(__file__).parents[3]


@pytest.fixture
def after() -> Iterator[Callable[[float, Callable[[], None]], None]]:
    """Do something a little later, in another thread."""
    timers: list[threading.Timer] = []

    def later(seconds: float, do: Callable[[], None]) -> None:
        timers.append(threading.Timer(seconds, do))
        timers[-1].start()

    yield later
    for timer in timers:
        timer.join()


def process_of(sandbox: Sandbox) -> int:
    process_id = sandbox.process_id
    assert process_id is not None
    return process_id


@pytest.mark.parametrize("by", ["a signal", "time", "memory"])
def test_a_process_that_ends_in_mid_step_costs_one_assignment(
    by: str, live: LiveCoordinator, small_bundle: Bundle, sandbox: Sandbox, after
) -> None:
    local = LocalTraining(epochs=2, batch_size=5)
    task = small_task(local=local, relabel=Relabel(start=1), round=Rounds(goal=1, smallest_cohort=1))
    live.publish(small_bundle, task)
    steps: list[int] = []

    def on_event(event) -> None:
        if event.kind != "step" or steps:
            return
        steps.append(event.step)
        process_id = process_of(sandbox)
        if by == "memory":
            sandbox.limits = replace(sandbox.limits, memory_bytes=1)
        os.kill(process_id, signal.SIGSTOP)  # the next step begins and doesn't come back
        if by == "a signal":
            after(0.3, lambda: os.kill(process_id, signal.SIGKILL))
        elif by == "time":
            sandbox.limits = replace(sandbox.limits, seconds=0.4)

    client = device(live, 1, some_examples(), pool=EnginePool(sandbox=sandbox), on_event=on_event)
    details: list[str] = []
    tell = client.on_event

    def note(event: Event) -> None:
        tell(event)
        if event.kind == "dropped":
            details.append(event.detail)

    client.on_event = note
    outcome = client.run_once()
    assert (outcome.kind, outcome.reason, steps) == ("dropped", "training-failed", [1])
    wanted = {"a signal": "ended with signal 9 (train_step)", "time": "took more than 0.4 s", "memory": "of 0 allowed"}
    assert wanted[by] in details[0]
    assert sandbox.process_id is None
    sandbox.limits = Limits(seconds=60.0)
    live.publish(small_bundle, task)
    outcome = client.run_once()
    assert (outcome.kind, sandbox.generation) == ("uploaded", 2)


def test_a_state_is_gone_with_its_process_and_nothing_else_is(small_bundle: Bundle, sandbox: Sandbox, opened) -> None:
    engine = opened(small_bundle, sandbox)
    weights = small.start_weights()
    state = engine.start(weights)
    before = engine.predict(weights, batch(4, 0).x, batch(4, 0).randoms)
    os.kill(process_of(sandbox), signal.SIGKILL)
    with pytest.raises(EndedRuntime):  # found dying, or dead: then another has started, which knows of no such state
        engine.train_step(state, batch(4, 0))
    with pytest.raises(EndedRuntime, match="the training state is gone"):
        engine.weights(state)
    again = engine.predict(weights, batch(4, 0).x, batch(4, 0).randoms)
    assert (again == before).all()
    engine.train_step(engine.start(weights), batch(4, 0))


def test_a_program_that_wants_more_memory_than_allowed_gets_an_error(small_bundle: Bundle, opened) -> None:
    """A gigabyte, where the process may have half of one: the kernel refuses it, and the process goes on."""
    text = small.PREDICT.replace(
        "probabilities = Softmax <axis = 1> (logits)",
        "many = Constant <value_ints = [268435456]> ()\n naught = Constant <value_float = 0.0> ()\n"
        "large = Expand (naught, many)\n raised = Exp (large)\n sum = ReduceSum <keepdims = 0> (raised)\n"
        "none = Mul (sum, naught)\n soft = Softmax <axis = 1> (logits)\n probabilities = Add (soft, none)",
    )
    sandbox = Sandbox(("onnx",), limits=Limits(seconds=60.0, memory_bytes=512 << 20))
    names = ("train_step", "relabel")
    bodies = {f"{name}.onnx": (small_bundle.folder / f"{name}.onnx").read_bytes() for name in names}
    bodies["predict.onnx"] = small.program(text)
    engine = EnginePool(sandbox=sandbox).open("0" * 64, small_bundle.manifest, lambda file: bodies[file.path])
    fed = batch(4, 0)
    with pytest.raises(InvalidBundle, match="predict"):
        engine.predict(small.start_weights(), fed.x, fed.randoms)
    assert engine.train_step(engine.start(small.start_weights()), fed).weight_sum == 3.0
    too_many = batch(4, 0).x["x"][:1].repeat(1 << 26, axis=0)  # a gigabyte through the door
    with pytest.raises(InvalidBundle, match="more than 536870912 bytes"):
        engine.predict(small.start_weights(), {"x": too_many}, fed.randoms)
    assert sandbox.generation == 1
    sandbox.close()


def test_the_process_holds_nothing_of_the_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FEDRELA_ADMIN_KEY", "a secret")
    with (tmp_path / "identity.json").open("w") as file:
        os.set_inheritable(file.fileno(), True)  # as of a host program that is careless
        sandbox = Sandbox(("onnx",))
        sandbox.hello()
        folder = Path(f"/proc/{process_of(sandbox)}")
        assert b"secret" not in (folder / "environ").read_bytes()
        held = {os.readlink(entry) for entry in (folder / "fd").iterdir()}
        assert {place.split(":")[0] for place in held} == {"/dev/null", "socket", "/memfd"}
        assert (folder / "cwd").readlink() == Path("/")
        assert "NoNewPrivs:\t1" in (folder / "status").read_text()
        sandbox.close()


def test_what_is_meant_for_the_device_does_not_end_it(sandbox: Sandbox, small_bundle: Bundle, opened) -> None:
    engine = opened(small_bundle, sandbox)
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(process_of(sandbox), number)
    engine.train_step(engine.start(small.start_weights()), batch(4, 0))
    assert sandbox.generation == 1


@pytest.fixture
def endless_bundle(small_bundle: Bundle, tmp_path: Path) -> Path:
    """One whose predictions take minutes."""
    steps = "\n ".join(f"v{number + 1} = Tanh (v{number})" for number in range(3000))
    text = small.PREDICT.replace(
        "probabilities = Softmax <axis = 1> (logits)",
        "many = Constant <value_ints = [16777216]> ()\n one = Constant <value_float = 1.0> ()\n"
        f"v0 = Expand (one, many)\n {steps}\n sum = ReduceSum <keepdims = 0> (v3000)\n"
        "soft = Softmax <axis = 1> (logits)\n probabilities = Add (soft, sum)",
    )
    for name in ("train_step", "relabel"):
        (tmp_path / f"{name}.onnx").write_bytes((small_bundle.folder / f"{name}.onnx").read_bytes())
    (tmp_path / "predict.onnx").write_bytes(small.program(text))
    (tmp_path / "manifest.json").write_bytes(strict.to_json(small_bundle.manifest))
    return tmp_path


@pytest.mark.parametrize("thread", ["main", "other"])
def test_it_ends_with_the_device_even_in_mid_step(thread: str, endless_bundle: Path) -> None:
    script = (
        "import os, pathlib, signal, sys, threading, time\n"
        "from fedrela.core.manifest import parse_manifest\n"
        "from fedrela.edge.engines.pool import EnginePool\n"
        "from fedrela.edge.sandbox.process import Sandbox\n"
        "from tests.edge import softmax_bundle as small\n"
        "from tests.edge.engines.test_onnx_engine import batch\n"
        "sandbox, folder, fed = Sandbox(('onnx',)), pathlib.Path(sys.argv[2]), batch(4, 0)\n"
        "def start():\n    sandbox.hello()\n    print(sandbox.process_id, flush=True)\n"
        "if sys.argv[1] == 'main':\n    start()\n"
        "else:\n    other = threading.Thread(target=start)\n    other.start()\n    other.join()\n"
        "manifest = parse_manifest((folder / 'manifest.json').read_bytes())\n"
        "read = lambda file: (folder / file.path).read_bytes()\n"
        "engine = EnginePool(sandbox=sandbox).open('0' * 64, manifest, read)\n"
        "predict = lambda: engine.predict(small.start_weights(), fed.x, fed.randoms)\n"
        "computing = threading.Thread(target=predict, daemon=True)\n"
        "computing.start()\n"
        "time.sleep(2)\n"
        "assert computing.is_alive()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, "-c", script, thread, str(endless_bundle)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    deadline = time.monotonic() + PATIENCE_SECONDS
    while psutil.pid_exists(int(done.stdout)):
        assert time.monotonic() < deadline, "the process outlives the device"
        time.sleep(0.02)


def test_a_process_that_does_not_start_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(
        MissingDependency, match=r"\) can be started: the runtime's process ended with status 1 \(its start\)"
    ):
        Sandbox(("onnx",)).hello()
