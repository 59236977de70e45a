"""Half an hour of fast devices that come, go, fail and are late, of tasks that are cancelled: does anything grow?

    python -m benchmarks.coordinator_soak --minutes 30 --devices 200

A real coordinator on SQLite and real HTTP. Each device signs and sends what a device does, without training in between:
most updates arrive, some devices never come back with theirs, give the slot back, or upload after their lease. Every
minute the operator cancels the task, publishes the next, and deletes the one that was cancelled five minutes ago.
Figures are the largest of each third of the time, so that what levels off has the same figure twice. At the end nothing
may be left of ended rounds but what the manual lists.
"""

import argparse
import json
import random
import shutil
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import httpx

from benchmarks.serving.fixture import Server, make_bundle, update_body
from fedrela.core.errors import FedRelaError
from fedrela.core.protocol import links
from fedrela.core.task import Relabel, Rounds, Task
from fedrela.core.wire import Assignment, CheckIn, FailureReport
from fedrela.edge.network.api import CoordinatorApi, Retry
from fedrela.edge.owner.membership import enroll
from fedrela.edge.storage.store import MemoryStore

RESULTS = Path(__file__).parent / "results"
PARAMETERS = 20_000
LEASE_SECONDS = 5.0
THIRDS = 3
SAMPLE_SECONDS = 5.0
VANISH, GIVE_BACK, LATE = 0.10, 0.05, 0.05  # shares of assignments that end badly
KEPT_TASKS = 5  # ended ones
LEVEL = 1.10  # the last third may have so much more than the one before, for chance


@dataclass(frozen=True)
class Sample:
    """What the coordinator holds at one moment."""

    memory_mb: float
    descriptors: int
    database_mb: float
    blobs: int
    blobs_mb: float


class Phone(threading.Thread):
    """A device without a model: it takes assignments and does one of the things that devices do."""

    def __init__(self, link: str, index: int, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self._stop_event, self._random, self._body = stop, random.Random(index), update_body(PARAMETERS, index)
        self._api = CoordinatorApi(httpx.Client(timeout=30), retry=Retry(attempts=1))
        self._identity = enroll(self._api, MemoryStore(), links.parse(link))
        self._api.act_as(self._identity)
        self.uploaded = self.refused = 0

    def run(self) -> None:
        """Until the end of the soak."""
        while not self._stop_event.is_set():
            try:
                offer = CheckIn(self._identity.population, "python 1.0", ("onnx 1.32.0",), self._nonce())
                answer = self._api.check_in(offer)
            except FedRelaError:
                self._stop_event.wait(1.0)
                continue
            if answer.assignment is not None:
                self._work(answer.assignment)
            elif answer.wait is not None:
                self._stop_event.wait(min(answer.wait.retry_after_seconds, 1.0))

    def _work(self, assignment: Assignment) -> None:
        way = self._random.random()
        if way < VANISH + LATE:
            self._stop_event.wait(2.5 * LEASE_SECONDS)
        if way < VANISH:
            return
        with suppress(FedRelaError):
            if way < VANISH + LATE + GIVE_BACK and way >= VANISH + LATE:
                self._api.failure(assignment, FailureReport("training-failed"))
                return
        try:
            self._api.update(assignment, self._body)
            self.uploaded += 1
        except FedRelaError:
            self.refused += 1

    def _nonce(self) -> str:
        return f"{self._random.getrandbits(128):032x}"


def soak(folder: Path, seconds: float, devices: int) -> tuple[list[Sample], dict[str, int]]:
    """Samples over the whole time, and what happened in it."""
    make_bundle(folder / "bundle", PARAMETERS)
    server, stop = Server(folder / "data"), threading.Event()
    server.start()
    try:
        task_id = _publish(server, folder / "bundle", 0)
        with server.operator() as admin:
            link = admin.enrollment_link("default", devices, valid_seconds=86_400.0)
        phones = [Phone(link, index, stop) for index in range(devices)]
        for phone in phones:
            phone.start()
        samples, ended, cancelled, started = [], list[str](), 0, time.monotonic()
        while (elapsed := time.monotonic() - started) < seconds:
            time.sleep(SAMPLE_SECONDS)
            samples.append(sample(server))
            if elapsed > 60 * (cancelled + 1):
                with server.operator() as admin:
                    admin.request("POST", f"/tasks/{task_id}/cancel")
                    ended.append(task_id)
                    if len(ended) > KEPT_TASKS:
                        admin.request("POST", f"/tasks/{ended.pop(0)}/delete")
                cancelled += 1
                task_id = _publish(server, folder / "bundle", cancelled)
                _show(elapsed, samples[-1])
        stop.set()
        for phone in phones:
            phone.join(30)
        counts = {"uploads": sum(p.uploaded for p in phones), "refused": sum(p.refused for p in phones)}
        return samples, counts | {"cancelled": cancelled}
    finally:
        stop.set()
        server.stop()


def _publish(server: Server, bundle: Path, number: int) -> str:
    settings = Rounds(
        goal=40,
        minimum=20,
        over_selection=1.3,
        deadline_seconds=30.0,
        compute_lease_seconds=LEASE_SECONDS,
        upload_lease_seconds=LEASE_SECONDS,
    )
    with server.operator() as admin:
        return admin.publish(bundle, Task(f"soak-{number}", 10_000, round=settings, relabel=Relabel(enabled=False)))


def sample(server: Server) -> Sample:
    """Memory and descriptors of the coordinator's processes, bytes of its database and blobs."""
    database = sum(file.stat().st_size for file in server.folder.glob("coordinator.sqlite*") if file.exists())
    sizes = []
    for file in (server.folder / "blobs").rglob("*"):
        with suppress(FileNotFoundError):  # deleted just now
            sizes.append(file.stat().st_size if file.is_file() else 0)
    return Sample(server.rss_mb(), server.descriptors(), database / 1e6, len(sizes), sum(sizes) / 1e6)


def _show(elapsed: float, now: Sample) -> None:
    print(
        f"{elapsed / 60:5.1f} min  " + ", ".join(f"{name} {value:.1f}" for name, value in asdict(now).items()),
        flush=True,
    )


def thirds(samples: list[Sample]) -> dict[str, list[float]]:
    """The largest figure of each third of the time."""
    size = max(1, len(samples) // THIRDS)
    parts = [samples[size * part : size * (part + 1)] for part in range(THIRDS)]
    return {
        field.name: [round(max(getattr(item, field.name) for item in part), 1) for part in parts]
        for field in fields(Sample)
    }


def main() -> None:
    """Run, print, write JSON; exit status 1 where something still grows in the last third."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--devices", type=int, default=200)
    parser.add_argument("--output", type=Path, default=RESULTS / "coordinator_soak.json")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="coordinator-soak-"))
    try:
        samples, counts = soak(folder, arguments.minutes * 60, arguments.devices)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    figures = thirds(samples)
    growing = [name for name, (_, before, last) in figures.items() if last > LEVEL * before]
    for name, values in figures.items():
        print(f"{name:14}" + "".join(f"{value:12.1f}" for value in values) + ("  grows" if name in growing else ""))
    print(", ".join(f"{name} {count}" for name, count in counts.items()))
    report = {"minutes": arguments.minutes, "devices": arguments.devices, "largest_of_each_third": figures}
    arguments.output.write_text(json.dumps(report | counts | {"growing": growing}, indent=1) + "\n")
    raise SystemExit(1 if growing else 0)


if __name__ == "__main__":
    main()
