"""A Kotlin device in a network namespace of its own; see `tests.edge.closed_world`.

$ unshare --user --map-root-user --net --mount python -m tests.android.closed_world FOLDER
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

from fedrela.conformance.files import ROUNDS_BUNDLE
from fedrela.core import bundle
from fedrela.core.task import Relabel, Rounds
from tests.android.device import words
from tests.edge.closed_world import HOLD_SECONDS, report
from tests.edge.live import LiveCoordinator, small_task


def live(folder: Path, running: LiveCoordinator, environment: dict[str, str]) -> None:
    """A round; then a device that stays, its runtime opened, for as long as an event might take; and its leave."""
    task = small_task(rounds=2, relabel=Relabel(start=1), round=Rounds(goal=1, smallest_cohort=1))
    running.publish(bundle.read(ROUNDS_BUNDLE), task)
    data = ROUNDS_BUNDLE.parent / "data.safetensors"
    device: dict[str, object] = {"link": running.link(), "state": folder / "state", "data": data}
    where: dict[str, Any] = {"env": environment, "cwd": folder / "work", "stdout": sys.stderr}
    subprocess.run(words("once", **device), check=True, timeout=60, **where)
    with subprocess.Popen(words("run", **device), **where) as staying:
        try:
            staying.wait(HOLD_SECONDS)
        except subprocess.TimeoutExpired:
            staying.kill()
    subprocess.run(words("leave", state=folder / "state"), check=True, timeout=60, **where)


if __name__ == "__main__":
    report(Path(sys.argv[1]), live)
