"""A coordinator in processes of its own, as a test kills and attacks it."""

import os
import ssl
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.patience import PATIENCE_SECONDS, wait_for
from tests.ports import free_port

__all__ = ["KEY", "SIGNING_KEY", "Server", "free_port", "wait_for"]  # tests find them here too

KEY = "k" * 32
SIGNING_KEY = "11" * 32


@dataclass
class Server:
    """`uvicorn fedrela.coordinator.app:app` in processes of its own, on real time."""

    folder: Path
    port: int
    workers: int = 1
    database_url: str = ""
    environment: dict[str, str] = field(default_factory=dict)  # beside the usual
    arguments: tuple[str, ...] = ()  # of uvicorn's command line
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def http(self, **arguments: Any) -> httpx.Client:
        """A client that waits for as long as a slow machine needs."""
        return httpx.Client(base_url=self.url, timeout=PATIENCE_SECONDS, **arguments)

    def start(self, trusted: Path | None = None) -> None:
        """Start and wait until it is ready; `trusted`: the certificate, where it is told to use TLS."""
        environment = os.environ | {
            "FEDRELA_DATA": str(self.folder),
            "FEDRELA_ADMIN_KEY": KEY,
            "FEDRELA_SIGNING_KEY": SIGNING_KEY,
            "FEDRELA_DATABASE_URL": self.database_url,
            "FEDRELA_DEV": "1",
            "FEDRELA_RATE_PER_DEVICE": "0",
        }
        environment |= self.environment
        command = [sys.executable, "-m", "uvicorn", "fedrela.coordinator.app:app", "--port", str(self.port)]
        command += ["--workers", str(self.workers), "--no-access-log", "--log-level", "warning", *self.arguments]
        self.launch(command, environment, trusted)

    def launch(self, command: list[str], environment: dict[str, str], trusted: Path | None = None) -> None:
        """Run a command that serves on the port, and wait until it is ready."""
        self.folder.mkdir(parents=True, exist_ok=True)
        log = (self.folder / "server.log").open("ab")
        self.process = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, start_new_session=True, cwd=Path(__file__).parents[2]
        )
        url, verify = self.url, ssl.create_default_context(cafile=trusted)
        if trusted:
            url = url.replace("http:", "https:")
        wait_for(lambda: httpx.get(f"{url}/readyz", verify=verify).status_code == 200)

    def kill(self) -> None:
        """SIGKILL to the whole process group: no handler runs."""
        if self.process is not None:
            os.killpg(self.process.pid, 9)
            self.process.wait()
