"""A Kotlin device that is killed goes on, and sends the bytes that it would have sent."""

import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fedrela.conformance.files import ROUNDS_BUNDLE
from fedrela.core import bundle
from fedrela.core.task import LocalTraining
from tests.android.device import KOTLIN, words
from tests.android.test_walk import DATA, SECRET, TASKS, once
from tests.edge.live import LiveCoordinator, coordinator

pytestmark = KOTLIN

# 60 steps: when a device has told of the 44th, it is far from its end.
LONGER = {name: replace(TASKS[name], local=LocalTraining(epochs=4, batch_size=8)) for name in ("plain", "re-labels")}
# After which steps, or soon after, one start after the other.
KILLS = [(1,), (19,), (20, 22), (21, 41), (33, 34, 44), (2, 4, 8, 16, 32)]


def killed_after(live: LiveCoordinator, state: Path, step: int) -> None:
    """Start the device, and end it once it has told of a step; it had better not come to its end before.

    It speaks into a socket that holds a few lines, and waits where nobody reads them: however late the end comes, it
    comes soon after the step.
    """
    command = words("once", link=live.link(), state=state, data=DATA, secret=SECRET.hex())
    ours, its = socket.socketpair()
    its.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    with ours, subprocess.Popen(command, stdout=its.fileno()) as process:
        its.close()
        told = any(reached >= step for reached in steps(ours))
        process.kill()
    assert told
    assert process.returncode == -signal.SIGKILL


def steps(told: socket.socket) -> Iterator[int]:
    """The steps that a device tells of; byte by byte, for what is read makes room."""
    line = b""
    while byte := told.recv(1):
        line += byte
        if byte == b"\n":
            if found := re.match(rb"step (\d+) ", line):
                yield int(found[1])
            line = b""


def update(folder: Path, task: str, kills: tuple[int, ...] = ()) -> bytes:
    """The first update of a device, at a coordinator of its own."""
    with coordinator(folder / "coordinator") as live:
        live.publish(bundle.read(ROUNDS_BUNDLE), LONGER[task])
        for step in kills:
            killed_after(live, folder / "state", step)
        assert once(live, folder / "state") == "uploaded 1"
    return (folder / "state" / "last" / "update").read_bytes()


@pytest.fixture(scope="module")
def unharmed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return {task: update(tmp_path_factory.mktemp("unharmed"), task) for task in LONGER}


@pytest.mark.parametrize("kills", KILLS, ids=str)
def test_a_killed_device_sends_the_same_bytes(
    unharmed: dict[str, bytes], kills: tuple[int, ...], tmp_path: Path
) -> None:
    task = "re-labels" if len(kills) == 2 else "plain"
    assert update(tmp_path, task, kills) == unharmed[task]
