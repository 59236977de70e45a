"""A real coordinator on a loopback socket, in a thread of the test, and devices enrolled at it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from fedrela.conformance.files import PUBLISHER
from fedrela.coordinator.admin_client import AdminClient
from fedrela.coordinator.app import create_app
from fedrela.coordinator.settings import Settings
from fedrela.core import tensors
from fedrela.core.bundle import Bundle
from fedrela.core.protocol import links
from fedrela.core.task import LocalTraining, Relabel, Rounds, Task
from fedrela.core.tensors import Params
from fedrela.edge.client import DeviceClient, enroll
from fedrela.edge.engines.pool import EnginePool
from fedrela.edge.network.api import CoordinatorApi, Retry
from fedrela.edge.storage.store import MemoryStore, Store
from fedrela.edge.training.examples import Examples
from tests.patience import PATIENCE_SECONDS, wait_for

ADMIN_KEY = "an-admin-key-for-tests-alone"
SIGNING_KEY = "5a" * 32


def small_task(**changes: Any) -> Task:
    """Two devices, three rounds, re-labeling from the third."""
    settings: dict[str, Any] = {
        "name": "small",
        "rounds": 3,
        "local": LocalTraining(epochs=2, batch_size=5),
        "relabel": Relabel(start=3, threshold_percent=30.0, passes=2),
        "round": Rounds(goal=2, smallest_cohort=2, retry_after_seconds=0.05),
    }
    return Task(**(settings | changes))


class LiveCoordinator:
    """The running coordinator, its admin client and the devices that tests enroll."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.admin = AdminClient(url, ADMIN_KEY)

    def publish(self, bundle: Bundle, task: Task) -> str:
        """Begin a task."""
        return self.admin.publish(bundle.folder, task)

    def link(self) -> str:
        """An enrollment link for a hundred devices."""
        return self.admin.enrollment_link("default", 100, valid_seconds=3600.0, publishers=(PUBLISHER,))

    def rounds(self, task_id: str) -> list[dict[str, Any]]:
        """The task's history."""
        rounds: list[dict[str, Any]] = self.admin.get(f"/tasks/{task_id}/rounds")
        return rounds

    def committed(self, task_id: str) -> int:
        """How many rounds are committed."""
        return int(self.admin.get(f"/tasks/{task_id}")["committed_rounds"])

    def weights(self, sha256: str, bundle: Bundle) -> Params:
        """A checkpoint."""
        return tensors.from_bytes(self.admin.download(sha256), bundle.manifest.weights)

    def wait(self, done: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
        """Wait for something that the coordinator does by itself."""
        wait_for(done, seconds, pause_seconds=0.01)


@contextmanager
def coordinator(folder: Path, signing_key: str = SIGNING_KEY) -> Iterator[LiveCoordinator]:
    """Serve until the block ends."""
    environment = {
        "FEDRELA_DATA": str(folder),
        "FEDRELA_ADMIN_KEY": ADMIN_KEY,
        "FEDRELA_SIGNING_KEY": signing_key,
        "FEDRELA_DEV": "1",
        "FEDRELA_IDLE_RETRY_SECONDS": "0.05",
    }
    app = create_app(lambda: Settings.from_environment(environment))
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the coordinator did not start"
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield LiveCoordinator(f"http://127.0.0.1:{port}")
    finally:
        server.should_exit = True
        thread.join(PATIENCE_SECONDS)


def device(
    live: LiveCoordinator,
    number: int,
    examples: Examples,
    *,
    store: Store | None = None,
    http: httpx.Client | None = None,
    pool: EnginePool | None = None,
    **arguments: Any,
) -> DeviceClient:
    """Device `number`, enrolled, holding `examples`; its secret is its number."""
    store = MemoryStore() if store is None else store
    retry = Retry(attempts=4, base_seconds=0.01, cap_seconds=0.05)
    api = CoordinatorApi(http or httpx.Client(timeout=PATIENCE_SECONDS, trust_env=False), live.url, retry=retry)
    if store.get("identity.json") is None:
        enroll(api, store, links.parse(live.link()), secret=bytes([number]) * 32)
    return DeviceClient(api, store, lambda manifest: examples, pool=pool or EnginePool(), **arguments)


def run_until_finished(devices: list[DeviceClient], live: LiveCoordinator, task_id: str, rounds: int) -> None:
    """Let the devices take turns until every round is committed."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while live.committed(task_id) < rounds:
        assert time.monotonic() < deadline, "the task did not finish"
        for client in devices:
            if client.run_once().kind == "waiting":
                time.sleep(0.01)
