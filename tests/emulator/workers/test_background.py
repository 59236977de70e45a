"""The background thread: it works in order, hands over what went wrong, and leaves nothing behind."""

import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest

from fedrela.core.errors import InvalidBundle
from fedrela.edge.engines.pool import EnginePool
from fedrela.emulator.workers.background import BackgroundThread
from tests.edge import softmax_bundle as small
from tests.edge.engines.test_onnx_engine import batch
from tests.patience import PATIENCE_SECONDS

LEFT = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})"
ASKED = "from fedrela.emulator.workers.background import worthwhile; print(worthwhile())"


def test_what_is_begun_runs_in_one_other_thread_in_order_and_ends_in_this_one():
    ran, ended = [], []
    with BackgroundThread() as background:
        for number in range(20):
            background.begin(
                lambda n=number: ran.append((n, threading.get_ident())),
                lambda error, n=number: ended.append((n, error, threading.get_ident())),
            )
        assert background.under_way == 20
        while background.under_way:
            background.collect(wait=False)
        background.collect(wait=True)  # nothing is under way: nothing to wait for
    assert [number for number, _ in ran] == [number for number, _, _ in ended] == list(range(20))
    (there,) = {thread for _, thread in ran}
    assert there != threading.get_ident()
    assert {(error, thread) for _, error, thread in ended} == {(None, threading.get_ident())}


def test_the_thread_and_its_haste_end_with_the_context():
    usual = sys.getswitchinterval()
    with BackgroundThread():
        assert sys.getswitchinterval() < usual
        assert "fedrela-background" in [thread.name for thread in threading.enumerate()]
    assert sys.getswitchinterval() == usual
    assert "fedrela-background" not in [thread.name for thread in threading.enumerate()]


def test_what_nobody_has_taken_up_is_dropped_at_the_end():
    ran, taken, go = [], threading.Event(), threading.Event()
    with BackgroundThread() as background:
        background.begin(lambda: taken.set() or go.wait(), lambda error: None)
        assert taken.wait(PATIENCE_SECONDS)
        background.begin(lambda: ran.append(1), lambda error: None)
        threading.Timer(0.05, go.set).start()
    assert not ran


def test_steps_and_predictions_in_the_background_are_those_of_this_thread(tmp_path):
    small_bundle = small.write(tmp_path)
    engine = opened(EnginePool(), small_bundle)
    weights, x, noise = small.start_weights(), batch(5, 1).x, batch(5, 1).randoms
    state = engine.start(weights)
    losses = [engine.train_step(state, batch(size, size)) for size in (4, 2, 7)]
    probabilities, trained = engine.predict(weights, x, noise), engine.weights(state)
    with BackgroundThread() as background:
        other = opened(EnginePool(run_native=lambda run: through(background, run)), small_bundle)
        state = other.start(weights)
        assert [other.train_step(state, batch(size, size)) for size in (4, 2, 7)] == losses
        assert other.predict(weights, x, noise).tobytes() == probabilities.tobytes()
        assert all(other.weights(state)[name].tobytes() == trained[name].tobytes() for name in trained)
        with pytest.raises(InvalidBundle, match="program train_step failed"):
            other.train_step(state, replace(batch(4, 0), y=np.zeros(9, np.int64)))


def opened(pool, bundle):
    """A pool's engine on a bundle."""
    return pool.open("0" * 64, bundle.manifest, lambda file: (bundle.folder / file.path).read_bytes())


def through(background, run):
    """Run in the background, and wait for it."""
    errors = []
    background.begin(run, errors.append)
    while not errors:
        background.collect(wait=False)
    (error,) = errors
    if error is not None:
        raise error


@pytest.mark.skipif(sys.platform != "linux", reason="cores can be taken from a process on Linux only")
def test_it_is_not_worth_while_on_one_core():
    done = subprocess.run([sys.executable, "-c", f"{LEFT}; {ASKED}"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
