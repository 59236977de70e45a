"""Plays cases with a client: starts it, kills it where the case asks, starts it again.

launch = command("my-device --link {link} --state {state} --data {data} --secret {secret}")
run_case(server, "plain-round", launch, folder)
"""

import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from fedrela.conformance.server.http_server import ConformanceServer
from fedrela.conformance.server.session import Session
from fedrela.conformance.server.world import DATA, SECRET

SETTLE_SECONDS = 0.3  # what is wrong after a right outcome comes at once
CASE_SECONDS = 90.0
MOST_STARTS = 12  # a client that ends after each round, or when nobody answers, is started again


class Running(Protocol):
    """A client under way: a process, or a thread of this one."""

    @property
    def steps(self) -> int:
        """Training steps that it has told of."""
        ...

    def ended(self) -> bool:
        """Whether it has ended by itself."""
        ...

    def kill(self) -> None:
        """End it, whatever it is doing."""
        ...


Launch = Callable[[Mapping[str, Any]], Running]  # given link, state, data, secret and hurry


def command(text: str) -> Launch:
    """A client that is a command, with {link} {state} {data} {secret} {hurry} in it."""
    return lambda places: Process([word.format(**places) for word in shlex.split(text)], Path(f"{places['state']}.log"))


class Process:
    """A client's process; counts the lines that it prints for its steps."""

    def __init__(self, words: list[str], log: Path) -> None:
        self._log = log.open("ab")
        self._process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._log, start_new_session=True
        )
        self.steps = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.steps += line.startswith(b"step ")
            self._log.write(line)

    def ended(self) -> bool:
        """Whether it has ended by itself."""
        return self._process.poll() is not None

    def kill(self) -> None:
        """SIGKILL, for it and whatever it has started."""
        if not self.ended():
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join(5)
        self._log.close()


def run_case(server: ConformanceServer, name: str, launch: Launch, folder: Path) -> Mapping[str, Any]:
    """Play one case; the verdict. `folder` keeps the client's state and what it printed."""
    session = server.start(name)
    places = {"link": server.link(name), "state": folder / name, "data": DATA, "secret": SECRET.hex()}
    places["hurry"] = server.hurry
    folder.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + max(CASE_SECONDS, 400.0 / server.hurry if session.case.slow else 0.0)
    steps_to_go = session.case.kill_after_steps
    for _ in range(MOST_STARTS):
        client = launch(places)
        killed = _follow(session, client, steps_to_go, until)
        client.kill()
        if killed:
            steps_to_go = 0
            time.sleep(session.killed())
        if session.verdict()["state"] != "pending" or time.monotonic() > until:
            break
    verdict = session.verdict()
    if verdict["state"] == "passed" and steps_to_go:
        return verdict | {
            "state": "failed",
            "faults": ["it printed too few lines that begin with 'step ' to be killed"],
        }
    if verdict["state"] == "pending":
        return verdict | {"state": "failed", "faults": [f"it went no further; right is {_right(session)}"]}
    return verdict


def _follow(session: Session, client: Running, kill_after_steps: int, until: float) -> bool:
    """Until the client has ended, must be killed (True), or the case is decided."""
    settled = 0.0
    while time.monotonic() < until:
        ended = client.ended()
        if session.kill_now or (kill_after_steps and client.steps >= kill_after_steps):
            return True
        state = session.verdict()["state"]
        if ended or state == "failed":
            return False
        if state == "passed":
            settled = settled or time.monotonic() + SETTLE_SECONDS
            if time.monotonic() > settled:
                return False
        time.sleep(0.02)
    return False


def _right(session: Session) -> str:
    return " or ".join(", ".join(right.log) for right in session.case.right)
