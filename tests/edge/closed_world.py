"""A device in a network namespace of its own, in which every name that is looked up and every address is written down.

    $ unshare --user --map-root-user --net --mount python -m tests.edge.closed_world FOLDER

There is no way out: every IPv4 address is this machine's, a recorder answers DNS, and the web's ports of all addresses
are listened to. Verb by verb a device lives its life beside its coordinator on 127.0.0.1. Then it keeps its engine open
for longer than a runtime's telemetry waits with its first event. What was looked up, who was connected to and which
files there are in the home is printed as one line of JSON.
"""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from fedrela.core import interpreter
from fedrela.core.task import Relabel, Rounds
from tests.edge import softmax_bundle
from tests.edge.conftest import some_examples
from tests.edge.live import LiveCoordinator, coordinator, small_task

HOLD_SECONDS = 14  # the runtime's first event leaves after about ten
HOLD = f"""
import time, pathlib, sys
from fedrela.edge.engines.pool import EnginePool
from fedrela.core import bundle
folder = pathlib.Path(sys.argv[1])
manifest = bundle.read(folder).manifest
EnginePool().open("m", manifest, lambda file: (folder / file.path).read_bytes())
time.sleep({HOLD_SECONDS})
"""
ELSEWHERE = ("192.0.2.7", 443)  # RFC 5737: nobody's
WORLD = (
    ("ip", "link", "set", "lo", "up"),
    ("ip", "route", "add", "local", "0.0.0.0/0", "dev", "lo"),
)


class Recorder:
    """Names asked of DNS, and addresses that were connected to on the web's ports."""

    def __init__(self, folder: Path) -> None:
        for command in WORLD:
            subprocess.run(command, check=True)
        resolver = folder / "resolv.conf"
        resolver.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        subprocess.run(["mount", "--bind", str(resolver), "/etc/resolv.conf"], check=True)
        self.names: list[str] = []
        self.connections: list[str] = []
        self._dns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._dns.bind(("127.0.0.1", 53))
        self._web = [socket.create_server(("0.0.0.0", port)) for port in (80, 443)]
        threading.Thread(target=self._resolve, daemon=True).start()
        for server in self._web:
            threading.Thread(target=self._accept, args=(server,), daemon=True).start()

    def _resolve(self) -> None:
        while True:
            query, asker = self._dns.recvfrom(4096)
            self.names.append(question(query))
            # Every name is at one address, so that whoever asks goes on to connect to it.
            answer = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04" + socket.inet_aton(ELSEWHERE[0])
            is_ipv4 = query[-4:-2] == b"\x00\x01"
            count = b"\x00\x01" if is_ipv4 else b"\x00\x00"
            head = query[:2] + b"\x81\x80\x00\x01" + count + b"\x00\x00\x00\x00"
            self._dns.sendto(head + query[12:] + (answer if is_ipv4 else b""), asker)

    def _accept(self, server: socket.socket) -> None:
        while True:
            connection, _ = server.accept()
            address, port = connection.getsockname()
            self.connections.append(f"{address}:{port}")
            connection.close()


def question(query: bytes) -> str:
    """The name that a DNS query asks for."""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode())
        at += 1 + query[at]
    return ".".join(labels)


@contextmanager
def owner(folder: Path) -> Iterator[dict[str, str]]:
    """The environment of an owner whose home is empty; nothing in it says that this is a test."""
    home = folder / "home"
    home.mkdir()
    (folder / "work").mkdir()
    environment = {name: value for name, value in interpreter.environment().items() if name != "CI"}
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        environment = {key: value for key, value in environment.items() if key.upper() != name}
    environment.pop("ORT_DISABLE_TELEMETRY")  # as a shell has it; the product sets it
    yield environment | {"HOME": str(home)}


def live(folder: Path, running: LiveCoordinator, environment: dict[str, str]) -> None:
    """Every verb of a device, from its enrollment to its end."""
    bundle = softmax_bundle.write(folder / "bundle")
    running.publish(bundle, small_task(rounds=1, relabel=Relabel(start=1), round=Rounds(goal=1, smallest_cohort=1)))
    examples = some_examples(40)
    np.savez(folder / "data.npz", x=examples.x["x"], y=examples.y)
    state = ["--state", str(folder / "state")]
    link = running.link()
    for words in (
        ["enroll", link, *state],
        ["run", "--once", "--data", str(folder / "data.npz"), *state],
        ["status", *state],
        ["show-upload", *state],
        ["forget", "--yes", *state],
    ):
        command = interpreter.command("fedrela", "device", *words)
        subprocess.run(command, env=environment, cwd=folder / "work", check=True, stdout=sys.stderr)
    subprocess.run([sys.executable, "-P", "-c", HOLD, str(bundle.folder)], env=environment, check=True)


def report(folder: Path, live: Callable[[Path, LiveCoordinator, dict[str, str]], None]) -> None:
    """Live a device's life; then look up a name and connect, so that it is known that this would have been seen."""
    recorder = Recorder(folder)
    with coordinator(folder / "coordinator") as running, owner(folder) as environment:
        live(folder, running, environment)
        seen = {"names": list(recorder.names), "connections": list(recorder.connections)}
        files = [str(Path(place) / name) for place, _, names in os.walk(folder / "home") for name in names]
        files += [str(Path(place) / name) for place, _, names in os.walk(folder / "work") for name in names]
        socket.create_connection(("name.example", ELSEWHERE[1]), timeout=5).close()
    control = {"names": recorder.names, "connections": recorder.connections}
    print(json.dumps({"seen": seen, "files": files, "control": control}))


if __name__ == "__main__":
    report(Path(sys.argv[1]), live)
