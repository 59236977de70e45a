"""A Kotlin device over a network that loses, repeats, cuts, delays and refuses 30 %: the same models come out."""

import subprocess
from pathlib import Path

from fedrela.conformance.files import ROUNDS_BUNDLE
from fedrela.core import bundle
from tests.android.device import KOTLIN, words
from tests.android.test_walk import DATA, SECRET, TASKS
from tests.edge.live import coordinator
from tests.edge.network.faulty_proxy import FAULTS, faulty

pytestmark = KOTLIN

ROUNDS = 2
HURRY = 100.0  # pauses of seconds


def models(folder: Path, *, share: float) -> list[str]:
    """The checkpoints of a task's rounds, as a device makes them that meets a fault at a share of its requests."""
    with coordinator(folder / "coordinator") as live, faulty(live.url, share=share, seed=1) as proxy:
        task_id = live.publish(bundle.read(ROUNDS_BUNDLE), TASKS["re-labels"])
        link = live.link().replace(live.url, proxy.url)
        command = words("run", link=link, state=folder / "state", data=DATA, secret=SECRET.hex(), hurry=HURRY)
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as device:
            try:
                live.wait(lambda: live.committed(task_id) == ROUNDS, seconds=120)
            finally:
                device.kill()
        if share:
            assert sum(proxy.faults.values()) > 0.2 * proxy.requests
            assert len(set(proxy.faults) & set(FAULTS)) >= 6
        return [row["checkpoint_sha256"] for row in live.rounds(task_id) if row["updates"]]


def test_a_bad_network_changes_nothing(tmp_path: Path) -> None:
    clean = models(tmp_path / "clean", share=0.0)
    assert len(clean) == ROUNDS
    assert models(tmp_path / "faulty", share=0.3) == clean
