"""A coordinator process for browser tests: started, killed and started again on the same port and data."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from fedrela.conformance.files import PUBLISHER
from fedrela.coordinator.admin_client import AdminClient
from fedrela.core import bundle as bundles
from fedrela.core import tensors
from fedrela.core.bundle import Bundle
from fedrela.core.protocol import links
from fedrela.core.task import Task
from fedrela.edge.client import DeviceClient, enroll
from fedrela.edge.network.api import CoordinatorApi, Retry
from fedrela.edge.storage.store import MemoryStore
from fedrela.edge.training.examples import Examples
from tests.patience import PATIENCE_SECONDS, wait_for
from tests.ports import free_port

KEY = "an-admin-key-for-browser-tests-alone"
ROOT = Path(__file__).parents[2]
SHARDS = ROOT / "web" / "public" / "demo"


class Place:
    """The coordinator and its operator."""

    def __init__(self, folder: Path, bundle: Path) -> None:
        self.folder, self.bundle, self.port = folder, bundle, free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.host}"
        self.admin = AdminClient(self.url, KEY)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Serve, and wait until ready."""
        environment = os.environ | {"FEDRELA_DATA": str(self.folder), "FEDRELA_DEV": "1", "FEDRELA_ADMIN_KEY": KEY}
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "uvicorn",
                "fedrela.coordinator.app:app",
                "--port",
                str(self.port),
                "--log-level",
                "warning",
            ],
            env=environment,
            cwd=ROOT,
            stdout=(self.folder.parent / "coordinator.log").open("ab"),
            stderr=subprocess.STDOUT,
        )
        wait_for(self._is_ready, pause_seconds=0.1)

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder.parent / "coordinator.log").read_text()
        return httpx.get(f"{self.url}/readyz", timeout=PATIENCE_SECONDS).status_code == 200

    def kill(self) -> None:
        """As if the power went."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(PATIENCE_SECONDS)

    def link(self, population: str = "default", *, valid_seconds: float = 3600.0) -> str:
        """An enrollment link for one device."""
        return self.admin.enrollment_link(population, 1, valid_seconds=valid_seconds, publishers=(PUBLISHER,))

    def device(self, shard: int, *, secret: bytes = b"", population: str = "default") -> DeviceClient:
        """A Python device on a demonstration shard, enrolled."""
        api = CoordinatorApi(
            httpx.Client(timeout=PATIENCE_SECONDS), self.url, retry=Retry(attempts=12, base_seconds=0.2)
        )
        store = MemoryStore()
        enroll(api, store, links.parse(self.link(population)), secret=secret)
        examples = shard_examples(shard)
        return DeviceClient(api, store, lambda manifest: examples)

    def publish(self, task: Task) -> str:
        """The id of a task on the bundle."""
        return str(self.admin.publish(self.bundle, task))

    def opened(self) -> Bundle:
        """The bundle."""
        return bundles.read(self.bundle)

    def task(self, task_id: str) -> dict[str, Any]:
        """How a task stands."""
        task: dict[str, Any] = self.admin.get(f"/tasks/{task_id}")
        return task


def shard_examples(number: int) -> Examples:
    """What the page's demonstration shard holds."""
    arrays = tensors.read((SHARDS / f"digits-{number}.safetensors").read_bytes())
    return Examples({"x": arrays["x"]}, arrays["y"])
