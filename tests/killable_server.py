"""A coordinator as a process of its own that a test can kill."""

import signal
import subprocess
import sys
from pathlib import Path

import httpx

from tests.edge.live import ADMIN_KEY, SIGNING_KEY
from tests.patience import PATIENCE_SECONDS, wait_for
from tests.ports import free_port


class Server:
    """`uvicorn fedrela.coordinator.app:app` as a process that can be killed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        environment = {
            "PATH": "/usr/bin:/bin",
            "FEDRELA_DATA": str(self.folder),
            "FEDRELA_ADMIN_KEY": ADMIN_KEY,
            "FEDRELA_SIGNING_KEY": SIGNING_KEY,
            "FEDRELA_IDLE_RETRY_SECONDS": "0.05",
            "FEDRELA_DEV": "1",
        }
        command = [
            sys.executable,
            "-m",
            "uvicorn",
            "fedrela.coordinator.app:app",
            "--port",
            str(self.port),
            "--log-level=error",
        ]
        self.process = subprocess.Popen(command, env=environment, cwd=Path(__file__).parent.parent)
        wait_for(self._is_ready)

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "the coordinator did not start"
        return httpx.get(self.url + "/readyz", trust_env=False, timeout=PATIENCE_SECONDS).status_code == 200

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
