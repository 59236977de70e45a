"""A command with all its descendants: its output, its time limit, its peak memory and its processor time."""

import os
import shutil
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil

SAMPLE_SECONDS = 0.25
IN_MEMORY = Path("/dev/shm")
FOLDERS = "fedrela-emulation-*"  # a coordinator's data, where they are in memory: they count as such


@dataclass
class Tree:
    """A command that has ended. Memory counts pages that processes share once (PSS), processor time all of them."""

    output: str = ""
    problem: str = ""  # why there is no result; "" if it ended well
    peak_bytes: int = 0
    cpu_seconds_by_process: dict[int, float] = field(default_factory=dict)

    @property
    def cpu_seconds(self) -> float:
        """User and system time of all processes, as far as sampling saw them."""
        return sum(self.cpu_seconds_by_process.values())


def run(command: list[str], *, limit_seconds: float, environment: dict[str, str]) -> Tree:
    """Run a command to its end or its limit, then end whatever it left behind."""
    tree = Tree()
    members: dict[int, psutil.Process] = {}
    # Into files, not pipes: a process that is left behind would keep a pipe open for ever.
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=output, stderr=errors, text=True, env=os.environ | environment)
        watcher = threading.Thread(target=_watch, args=(process, tree, members))
        watcher.start()
        try:
            process.wait(limit_seconds)
        except subprocess.TimeoutExpired:
            tree.problem = f"not finished after {limit_seconds:.0f} s"
        finally:
            _end(members)
            process.kill()
            process.wait()
            watcher.join()
        tree.output, messages = _content(output), _content(errors)
    if process.returncode and not tree.problem:
        last = (messages.strip().splitlines() or ["no message"])[-1]
        tree.problem = f"ended with status {process.returncode}: {last[:300]}"
    return tree


def _content(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


def _watch(process: "subprocess.Popen[str]", tree: Tree, members: dict[int, psutil.Process]) -> None:
    """Sample the tree until its root has ended; cheaply, for it shares the cores with what it measures."""
    before = shutil.disk_usage(IN_MEMORY).used if IN_MEMORY.is_dir() else 0
    while process.poll() is None:
        total = 0
        try:
            root = psutil.Process(process.pid)
            present = [root, *root.children(recursive=True)]
        except psutil.Error:
            present = []
        for member in present:
            try:
                total += member.memory_full_info().pss
                times = member.cpu_times()
            except psutil.Error:
                continue  # it has just ended
            members[member.pid] = member
            tree.cpu_seconds_by_process[member.pid] = times.user + times.system
        total += max(_in_memory() - before, 0)
        tree.peak_bytes = max(tree.peak_bytes, total)
        time.sleep(SAMPLE_SECONDS)


def _in_memory() -> int:
    """Bytes of all files that are in memory, if a coordinator has some; what others map there, PSS counts already."""
    return shutil.disk_usage(IN_MEMORY).used if any(IN_MEMORY.glob(FOLDERS)) else 0


def _end(members: dict[int, psutil.Process]) -> None:
    """psutil knows a process by its id and start time, so nobody else's is touched."""
    for member in members.values():
        try:
            if member.is_running():
                member.kill()
        except psutil.Error:
            continue
