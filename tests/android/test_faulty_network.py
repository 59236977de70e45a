"""A Kotlin device over a network that loses, repeats, cuts, delays and refuses 30 %: the same models come out."""

import subprocess
from dataclasses import replace
from functools import partial
from pathlib import Path

from fedrela.conformance.files import ROUNDS_BUNDLE
from fedrela.core import bundle
from fedrela.core.task import LocalTraining
from tests.android.device import KOTLIN, words
from tests.android.test_walk import DATA, SECRET, TASKS
from tests.edge.live import LiveCoordinator, coordinator
from tests.edge.network.faulty_proxy import FAULTS, faulty

pytestmark = KOTLIN

TASK = replace(TASKS["re-labels"], rounds=5, local=LocalTraining(epochs=1, batch_size=8))
HURRY = 100.0  # the device's pauses are of seconds


def is_finished(live: LiveCoordinator, task_id: str, device: subprocess.Popen[bytes]) -> bool:
    assert device.poll() is None
    return live.committed(task_id) >= TASK.rounds


def models(folder: Path, *, share: float) -> list[str]:
    """The checkpoints of a task's rounds, as a device makes them that meets a fault at a share of its requests."""
    with coordinator(folder / "coordinator") as live, faulty(live.url, share=share, seed=1) as proxy:
        task_id = live.publish(bundle.read(ROUNDS_BUNDLE), TASK)
        link = live.link().replace(live.url, proxy.url)
        command = words("run", link=link, state=folder / "state", data=DATA, secret=SECRET.hex(), hurry=HURRY)
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as device:
            try:
                live.wait(partial(is_finished, live, task_id, device))
            finally:
                device.kill()
        if share:
            assert sum(proxy.faults.values()) > 0.2 * proxy.requests
            assert len(set(proxy.faults) & set(FAULTS)) >= 6
        return [row["checkpoint_sha256"] for row in live.rounds(task_id) if row["updates"]]


def test_a_bad_network_changes_nothing(tmp_path: Path) -> None:
    clean = models(tmp_path / "clean", share=0.0)
    assert len(clean) == TASK.rounds
    assert models(tmp_path / "faulty", share=0.3) == clean
