"""A Kotlin device in a group with Python devices: the sum is right, and one that is killed as it masks is in it."""

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fedrela.conformance.files import ROUNDS_BUNDLE
from fedrela.core import bundle, tensors
from fedrela.core.privacy import Privacy
from fedrela.core.secure import masked_body, secure_tasks
from fedrela.core.task import Aggregation
from fedrela.edge.client import DeviceClient
from fedrela.edge.training.examples import Examples
from tests.android.device import KOTLIN, words
from tests.android.test_walk import DATA, SECRET, TASK, once, python_update
from tests.edge.live import LiveCoordinator, coordinator, device
from tests.web.same_update import check_same_update

pytestmark = KOTLIN

PYTHON_DEVICES = (1, 2, 3, 4)
SECURE = replace(
    TASK,
    rounds=1,
    round=replace(TASK.round, goal=5, minimum=5, smallest_cohort=5, deadline_seconds=300.0),
    aggregation=Aggregation(weight_by_examples=False),
    privacy=Privacy(
        "peers",
        group_target=5,
        group_minimum=5,
        gather_seconds=60.0,
        phase_seconds=60.0,
        clip_norm=16.0,
        clipped_share=0.1,
    ),
)


@contextmanager
def python_devices(live: LiveCoordinator, task_id: str) -> Iterator[None]:
    """Four others, each in a thread, until the round is committed."""

    def work(client: DeviceClient) -> None:
        while live.committed(task_id) < 1:
            if client.run_once().kind != "uploaded":
                time.sleep(0.05)

    arrays = tensors.read(DATA.read_bytes())
    examples = Examples({"x": arrays["x"]}, arrays["y"])
    threads = [
        threading.Thread(target=work, args=(device(live, number, examples, sleep=lambda seconds: time.sleep(0.02)),))
        for number in PYTHON_DEVICES
    ]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def check_sum(live: LiveCoordinator, task_id: str) -> None:
    """The new model is the old one and the mean of the five changes."""
    opened = bundle.read(ROUNDS_BUNDLE)
    secrets = [SECRET, *(bytes([number]) * 32 for number in PYTHON_DEVICES)]
    changes = [python_update(SECURE, 1, opened.weights, secret)[1] for secret in secrets]
    sums = {name: np.sum([change[name] for change in changes], axis=0, dtype=np.float64) for name in opened.weights}
    mean = {name: np.asarray(total / len(changes), np.float32) for name, total in sums.items()}
    new = live.weights(live.rounds(task_id)[0]["checkpoint_sha256"], opened)
    check_same_update(opened.weights, mean, tensors.subtract(new, opened.weights))


def killed_as_it_masks(live: LiveCoordinator, state: Path) -> bytes:
    """Start the device, and end it as it says that its update leaves; the session's secrets that it has kept."""
    command = words("once", link=live.link(), state=state, data=DATA, secret=SECRET.hex())
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = any("hidden among 5" in line for line in process.stdout)
        process.kill()
    assert told
    return (state / "assignment" / "secure").read_bytes()


@pytest.mark.parametrize("killed", [False, True], ids=["unharmed", "killed"])
def test_a_kotlin_device_is_in_the_sum_of_its_group(tmp_path: Path, *, killed: bool) -> None:
    state = tmp_path / "state"
    with coordinator(tmp_path / "coordinator") as live:
        task_id = live.publish(bundle.read(ROUNDS_BUNDLE), SECURE)
        with python_devices(live, task_id):
            if killed:
                assert b"polynomials" in killed_as_it_masks(live, state)
            assert once(live, state) == "uploaded 1"
        check_sum(live, task_id)
    size = secure_tasks.words(SECURE, bundle.read(ROUNDS_BUNDLE).manifest)
    masked_body.from_bytes((state / "last" / "update").read_bytes(), size)
    assert not (state / "assignment" / "secure").exists()
