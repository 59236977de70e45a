"""`make walk`: the README's blocks, run in order, as they are written, in an empty folder and a home of its own.

A block whose first line names a file (`# task.toml`) becomes that file. What a person does between two lines is done
here: pictures lie in `my-pictures/` and `my-test-set/`, the link that was printed is pasted for `...`, the server has
come up, and Ctrl-C is pressed when the task has ended.

    $ python -m tests.documents.walk
"""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from tests.documents.blocks import ROOT, Block, blocks

URL = "http://127.0.0.1:8000"
PATIENCE_SECONDS = 600.0
PER_CLASS = 30  # pictures to train on; a third as many to evaluate on


class Walk:
    """One walk through a document: the folder where it is typed, what was printed last, and what runs beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.link = ""
        self.beside: list[subprocess.Popen[str]] = []
        bin_folder = folder / "bin"
        bin_folder.mkdir()
        program = bin_folder / "fedrela"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m fedrela "$@"\n')
        program.chmod(0o755)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("FEDRELA_", "XDG_"))}
        path = f"{bin_folder}:{Path(sys.executable).parent}:{kept['PATH']}"
        self.environment = kept | {"HOME": str(folder / "home"), "PATH": path, "PYTHONPATH": f"{ROOT}:{folder}"}

    def play(self, block: Block) -> None:
        """Write the block's file, or type its lines."""
        first = re.match(r"# ([\w.]+\.(?:toml|py))\n", block.text)
        if first:
            (self.folder / first[1]).write_text(block.text)
        elif block.language == "python":
            self._type(f"{sys.executable} -c {shlex.quote(block.text)}")
        else:
            for line in block.commands:
                self._type(line.replace(f"{URL}/join#...", self.link) if self.link else line)

    def _type(self, line: str) -> None:
        print(f"$ {line}"[:160], flush=True)
        begun = time.monotonic()
        if line.endswith("&"):
            _check_free(URL)
            self.beside.append(self._started(line.removesuffix("&")))
            _wait(lambda: httpx.get(f"{URL}/readyz").status_code == 200)
        elif line.startswith("fedrela device run"):
            self._until_the_task_has_ended(line)
        else:
            done = subprocess.run(
                line, shell=True, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
            )
            print(done.stdout + done.stderr, flush=True)
            if done.returncode:
                raise SystemExit(f"it ended with status {done.returncode}: {line}")
            if (link := re.search(rf"{URL}/join#\S+", done.stdout)) and "token create" in line:
                self.link = link[0]
        print(f"({time.monotonic() - begun:.1f} s)", flush=True)

    def _started(self, line: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            line, shell=True, cwd=self.folder, env=self.environment, text=True, start_new_session=True
        )

    def _until_the_task_has_ended(self, line: str) -> None:
        device = self._started(line)
        self.beside.append(device)
        listing = ["fedrela", "task", "list", "--json"]

        def ended() -> bool:
            if device.poll() is not None:
                raise SystemExit(f"the device ended with status {device.returncode}")
            told = subprocess.run(
                listing, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
            )
            return bool(json.loads(told.stdout)[0]["status"] == "finished")

        _wait(ended)
        os.killpg(device.pid, signal.SIGINT)
        device.wait(PATIENCE_SECONDS)

    def end(self) -> None:
        """Stop what still runs."""
        for process in self.beside:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(PATIENCE_SECONDS)


def _check_free(url: str) -> None:
    """Raise SystemExit where somebody else listens there already: the walk would go to a stranger's coordinator."""
    with socket.socket() as probe:
        if probe.connect_ex((urlsplit(url).hostname or "", urlsplit(url).port or 80)) == 0:
            raise SystemExit(f"something listens at {url} already; end it first")


def _wait(condition: object) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        try:
            if condition():  # type: ignore[operator]
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    raise SystemExit("it did not happen in time")


def _pictures(folder: Path) -> None:
    """Handwritten digits as a person would have them: a folder per class."""
    digits = load_digits()
    for label in range(10):
        members = np.flatnonzero(digits.target == label)
        parts = {"my-pictures": members[:PER_CLASS], "my-test-set": members[PER_CLASS : PER_CLASS + PER_CLASS // 3]}
        for part, chosen in parts.items():
            (folder / part / str(label)).mkdir(parents=True)
            for index in chosen:
                pixels = np.round(digits.images[index] * (255 / 16)).astype(np.uint8)
                Image.fromarray(pixels).save(folder / part / str(label) / f"{index}.png")


def main() -> None:
    """Walk through the README. Ends with status 1 at the first line that fails."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server is ended too
    with tempfile.TemporaryDirectory(prefix="fedrela-walk-") as name:
        folder = Path(name)
        _pictures(folder)
        walk = Walk(folder)
        try:
            for block in blocks():
                if block.document == "README.md" and block.reason is None:
                    walk.play(block)
        finally:
            walk.end()
    print("every block ran; those that don't, and why: tests/documents/blocks.py")


if __name__ == "__main__":
    main()
