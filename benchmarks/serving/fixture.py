"""A coordinator in processes of its own and a model of a given size, for the coordinator's benchmarks."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np

from fedrela.conformance import placeholders
from fedrela.conformance.files import PUBLISHER_KEY
from fedrela.coordinator.admin_client import AdminClient
from fedrela.coordinator.settings import Settings
from fedrela.core import bundle, signing, tensors
from fedrela.core.bundle import Golden, Manifest, ProgramInput
from fedrela.core.wire import UpdateMetadata

ADMIN_KEY = "benchmark-admin-key-of-32-letters"
SIGNING_KEY = "22" * 32


class Server:
    """`uvicorn fedrela.coordinator.app:app` on a free port; `kill` gives it no chance to finish anything."""

    def __init__(self, folder: Path, *, workers: int = 1, database_url: str = "") -> None:
        self.folder, self.workers, self.database_url = folder, workers, database_url
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until it is ready."""
        self.folder.mkdir(parents=True, exist_ok=True)
        environment = os.environ | {
            "FEDRELA_DATA": str(self.folder),
            "FEDRELA_DATABASE_URL": self.database_url,
            "FEDRELA_ADMIN_KEY": ADMIN_KEY,
            "FEDRELA_SIGNING_KEY": SIGNING_KEY,
            "FEDRELA_RATE_PER_ADDRESS": "1000000",  # the whole load has one address
        }
        command = [sys.executable, "-m", "uvicorn", "fedrela.coordinator.app:app", "--port", str(self.port)]
        command += ["--workers", str(self.workers), "--no-access-log", "--log-level", "warning"]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                if httpx.get(f"{self.url}/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        raise RuntimeError(f"the coordinator did not start; see {self.folder / 'server.log'}")

    def stop(self) -> None:
        """Ask it to end, and wait."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """SIGKILL to every process."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def rss_mb(self) -> float:
        """Resident memory of all its processes."""
        return round(sum(fields[21] for fields in self._statistics()) * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)

    def descriptors(self) -> int:
        """Open files, sockets and pipes of all its processes."""
        assert self.process is not None
        return sum(len(list(folder.iterdir())) for folder in Path("/proc").glob("[0-9]*/fd") if self._owns(folder))

    def _owns(self, folder: Path) -> bool:
        assert self.process is not None
        try:
            return os.getpgid(int(folder.parent.name)) == self.process.pid
        except (ProcessLookupError, PermissionError):
            return False

    def cpu_seconds(self) -> float:
        """Processor time that its processes have used."""
        return sum(fields[11] + fields[12] for fields in self._statistics()) / os.sysconf("SC_CLK_TCK")

    def _statistics(self) -> list[list[int]]:
        """The fields of /proc/PID/stat (proc(5)) from the parent's id on, of each process of its group."""
        assert self.process is not None
        processes = []
        for file in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = [0, *map(int, file.read_text().rpartition(")")[2].split()[1:])]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if fields[2] == self.process.pid:
                processes.append(fields)
        return processes

    def operator(self) -> AdminClient:
        """Its admin API."""
        return AdminClient(self.url, ADMIN_KEY)


def settings_of(folder: Path, database_url: str = "") -> Settings:
    """The settings of a coordinator whose data are in `folder`."""
    url = database_url or f"sqlite:///{folder / 'coordinator.sqlite'}"
    return Settings(folder, url, (folder / "blobs").as_uri(), ADMIN_KEY, SIGNING_KEY)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_bundle(folder: Path, parameters: int) -> None:
    """A bundle whose model has one tensor of `parameters` zeros; its programs are placeholders that nobody runs."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {"w": np.zeros(parameters, np.float32)}
    w = ProgramInput("w", "parameter", (parameters,))
    golden = tensors.to_bytes({"train_step.0.loss_sum": np.zeros(1, np.float32)})
    (folder / "golden.safetensors").write_bytes(golden)
    programs = placeholders.programs((w,), ProgramInput("x", "x", ("B", 3)), 2)
    for name in bundle.PROGRAMS:
        (folder / f"{name}.onnx").write_bytes(placeholders.body(name))
    manifest = Manifest("load", 2, **programs, golden=Golden("golden.safetensors", signing.sha256(golden), len(golden)))
    bundle.write(folder, manifest, weights, private_key=PUBLISHER_KEY)


def update_body(parameters: int, index: int) -> bytes:
    """The update of device `index`: the same bytes whenever it is asked for."""
    update = np.full(parameters, 1e-3, np.float32)
    update[:: max(parameters // 64, 1)] = np.float32(index + 1)
    return tensors.to_bytes({"w": update}, UpdateMetadata(1 + index % 50).as_strings())
