"""A Kotlin device that is killed goes on, and sends the bytes that it would have sent."""

import subprocess
from pathlib import Path

import pytest

from fedrela.conformance.files import ROUNDS_BUNDLE
from fedrela.core import bundle
from tests.android.device import KOTLIN, words
from tests.android.test_walk import DATA, SECRET, TASKS, once
from tests.edge.live import LiveCoordinator, coordinator

pytestmark = KOTLIN

# After which steps, one start after the other.
KILLS = [(1,), (19,), (20, 22), (21, 41), (33, 34, 44), (2, 4, 8, 16, 32)]


def killed_after(live: LiveCoordinator, state: Path, step: int) -> None:
    """Start the device, and end it once it has told of a step; it had better not come to its end before."""
    command = words("once", link=live.link(), state=state, data=DATA, secret=SECRET.hex())
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = any(line.startswith(f"step {step} ") for line in process.stdout)
        process.kill()
    assert told


def update(folder: Path, task: str, kills: tuple[int, ...] = ()) -> bytes:
    """The first update of a device, at a coordinator of its own."""
    with coordinator(folder / "coordinator") as live:
        live.publish(bundle.read(ROUNDS_BUNDLE), TASKS[task])
        for step in kills:
            killed_after(live, folder / "state", step)
        assert once(live, folder / "state") == "uploaded 1"
    return (folder / "state" / "last" / "update").read_bytes()


@pytest.fixture(scope="module")
def unharmed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return {task: update(tmp_path_factory.mktemp("unharmed"), task) for task in ("plain", "re-labels")}


@pytest.mark.parametrize("kills", KILLS, ids=str)
def test_a_killed_device_sends_the_same_bytes(
    unharmed: dict[str, bytes], kills: tuple[int, ...], tmp_path: Path
) -> None:
    task = "re-labels" if len(kills) == 2 else "plain"
    assert update(tmp_path, task, kills) == unharmed[task]
