"""How much one coordinator bears: real HTTP from separate processes, as many devices as you like.

    python -m benchmarks.coordinator_load --devices 1000 10000 --workers 1 4 --database sqlite

For each setting: the coordinator is started as an operator would (`uvicorn coordinator.app:app`) and devices are
enrolled; then they check in as fast as they are answered, check in at a fixed rate (open loop, so that a slow answer
delays nobody else's question), upload 400 kB each as fast as that goes, and at last do both at once at fixed rates.
Latency counts from when a request was due. The load comes from this machine and shares its processors, so a line also
gives the coordinator's own processor time per request, and the first line is a route that does nothing.
PostgreSQL: pass --database with the URL of an empty one.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.coordinator_fixture import Server, make_bundle, update_body
from core import signing
from core.task import Relabel, Rounds, Task

RESULTS = Path(__file__).parent / "results"


@dataclass
class Figures:
    """One line of the table. Latencies in milliseconds."""

    phase: str
    requests: int
    per_second: float
    p50_ms: float
    p99_ms: float
    errors: int
    cpu_ms: float = 0.0  # the coordinator's processor time per request


@dataclass
class Setting:
    """What was measured under."""

    database: str
    workers: int
    devices: int
    rss_mb: float = 0.0
    rss_kb_per_device: float = 0.0
    figures: list[Figures] = field(default_factory=list)


class Connection:
    """One keep-alive connection and just enough HTTP/1.1 to be no bottleneck."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None

    async def request(self, head: str, body: bytes) -> tuple[int, bytes]:
        """Send one request; status and body of the answer."""
        if self._reader is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        message = f"{head}host: localhost\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
        self._writer.write(message)
        header = await self._reader.readuntil(b"\r\n\r\n")
        status = int(header[9:12])
        length = 0
        for line in header.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line[15:])
        return status, await self._reader.readexactly(length) if length else b""


def check_in_head(token: str) -> str:
    """The head of a check-in."""
    return f"POST /v1/check-ins HTTP/1.1\r\nauthorization: Bearer {token}\r\n"


def update_head(token: str, assignment: dict[str, Any]) -> str:
    """The head of an upload."""
    path = f"/v1/assignments/{assignment['assignment_id']}/update"
    return (
        f"PUT {path} HTTP/1.1\r\nauthorization: Bearer {token}\r\n"
        f"fedrela-upload-token: {assignment['upload_token']}\r\n"
    )


CHECK_IN = json.dumps({"population": "default", "client_version": "0.1.0", "runtimes": ["onnx 1.32.0"]}).encode()
Job = Callable[[Connection], Awaitable[int]]


async def closed_loop(port: int, jobs: list[Job], connections: int) -> tuple[list[float], int, float]:
    """Latencies in seconds, errors and duration; `connections` ask at a time, each as soon as it is answered."""
    waiting = iter(jobs)
    latencies: list[float] = []
    errors = 0

    async def one() -> None:
        nonlocal errors
        connection = Connection(port)
        for job in waiting:
            started = time.perf_counter()
            status = await job(connection)
            latencies.append(time.perf_counter() - started)
            errors += status >= 300

    started = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(connections)))
    return latencies, errors, time.perf_counter() - started


async def open_loop(port: int, jobs: list[Job], per_second: float) -> tuple[list[float], int, float]:
    """The same, each request due at its own time whatever became of the others."""
    idle: list[Connection] = []
    latencies: list[float] = []
    errors = 0

    async def one(job: Job, due: float) -> None:
        nonlocal errors
        connection = idle.pop() if idle else Connection(port)
        status = await job(connection)
        latencies.append(time.perf_counter() - due)
        errors += status >= 300
        idle.append(connection)

    started = time.perf_counter()
    tasks = []
    for index, job in enumerate(jobs):
        due = started + index / per_second
        await asyncio.sleep(max(due - time.perf_counter(), 0))
        tasks.append(asyncio.create_task(one(job, due)))
    await asyncio.gather(*tasks)
    return latencies, errors, time.perf_counter() - started


def figures(phase: str, latencies: list[float], errors: int, seconds: float) -> Figures:
    """The line of one phase."""
    p50, p99 = np.percentile(latencies, [50, 99]) * 1000
    return Figures(phase, len(latencies), round(len(latencies) / seconds, 1), round(p50, 2), round(p99, 2), errors)


def check_in_jobs(tokens: list[str], count: int, found: dict[str, Any] | None = None) -> list[Job]:
    """`count` check-ins, device after device; assignments go into `found` by token."""

    def job(token: str) -> Job:
        async def ask(connection: Connection) -> int:
            status, body = await connection.request(check_in_head(token), CHECK_IN)
            if found is not None and status == 200 and (assignment := json.loads(body)["assignment"]):
                found[token] = assignment
            return status

        return ask

    return [job(tokens[index % len(tokens)]) for index in range(count)]


def update_jobs(turns: list[tuple[str, dict[str, Any]]], size: int) -> list[Job]:
    """One upload per turn; every body is different."""

    def job(index: int, token: str, assignment: dict[str, Any]) -> Job:
        async def send(connection: Connection) -> int:
            status, _ = await connection.request(update_head(token, assignment), update_body(size, index))
            return status

        return send

    return [job(index, token, assignment) for index, (token, assignment) in enumerate(turns)]


def run(setting: Setting, server: Server, phase: Callable[..., Any], *args: Any) -> Any:
    """Run one phase in a process of its own, keep its lines, and return whatever else it gives."""
    before = server.cpu_seconds()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        lines, found = pool.apply(phase, (server.port, *args))
    spent = server.cpu_seconds() - before
    for line in lines:
        line.cpu_ms = round(1000 * spent / sum(one.requests for one in lines), 2)
    setting.figures += lines
    return found


def nothing(port: int, count: int) -> tuple[list[Figures], None]:
    """A route that does nothing: what HTTP itself costs here."""

    async def job(connection: Connection) -> int:
        return (await connection.request("GET /healthz HTTP/1.1\r\n", b""))[0]

    return [figures("a route that does nothing", *asyncio.run(closed_loop(port, [job] * count, 16)))], None


def enrol_all(port: int, enrolment_token: str, count: int) -> tuple[list[Figures], list[str]]:
    """Enrol `count` devices over HTTP; their tokens."""
    tokens: list[str] = []
    key = signing.public_key(signing.generate_key())
    body = json.dumps({"enrolment_token": enrolment_token, "public_key": key}).encode()

    async def job(connection: Connection) -> int:
        status, answer = await connection.request("POST /v1/devices HTTP/1.1\r\n", body)
        tokens.append(json.loads(answer)["device_token"])
        return status

    return [figures("enrolments", *asyncio.run(closed_loop(port, [job] * count, 16)))], tokens


def get_turns(port: int, tokens: list[str]) -> tuple[list[Figures], dict[str, Any]]:
    """Check-ins that all get a turn, and the turns by token."""
    found: dict[str, Any] = {}
    result = asyncio.run(closed_loop(port, check_in_jobs(tokens, len(tokens), found), 16))
    return [figures("check-ins that all get a turn", *result)], found


def max_check_ins(port: int, tokens: list[str], count: int) -> tuple[list[Figures], None]:
    """Check-ins one after the other on 16 connections."""
    return [figures("check-ins", *asyncio.run(closed_loop(port, check_in_jobs(tokens, count), 16)))], None


def steady_check_ins(port: int, tokens: list[str], per_second: float, seconds: float) -> tuple[list[Figures], None]:
    """Check-ins at a fixed rate."""
    jobs = check_in_jobs(tokens, int(per_second * seconds))
    line = figures(f"check-ins, {per_second:.0f} due per second", *asyncio.run(open_loop(port, jobs, per_second)))
    return [line], None


def max_updates(port: int, turns: list[tuple[str, dict[str, Any]]], size: int) -> tuple[list[Figures], None]:
    """Uploads one after the other on 8 connections."""
    return [figures("updates", *asyncio.run(closed_loop(port, update_jobs(turns, size), 8)))], None


def both(
    port: int, tokens: list[str], turns: list[tuple[str, dict[str, Any]]], size: int, rates: tuple[float, float]
) -> tuple[list[Figures], None]:
    """Check-ins and uploads at fixed rates, for as long as the uploads take."""

    async def together() -> list[Figures]:
        seconds = len(turns) / rates[1]
        asking = open_loop(port, check_in_jobs(tokens, int(rates[0] * seconds)), rates[0])
        sending = open_loop(port, update_jobs(turns, size), rates[1])
        one, two = await asyncio.gather(asking, sending)
        return [
            figures(f"both: check-ins, {rates[0]:.0f} due per second", *one),
            figures(f"both: updates, {rates[1]:.0f} due per second", *two),
        ]

    return asyncio.run(together()), None


def measure(database: str, workers: int, devices: int, seconds: float, parameters: int) -> Setting:
    """Everything for one setting."""
    setting = Setting("postgresql" if database.startswith("postgres") else "sqlite", workers, devices)
    folder = Path(tempfile.mkdtemp(prefix="coordinator-load-"))
    server = Server(folder / "data", workers=workers, database_url=database if setting.database != "sqlite" else "")
    try:
        server.start()
        empty = server.rss_mb()
        make_bundle(folder / "bundle", parameters)
        with server.operator() as admin:
            turns = min(devices // 2, 800)
            wanted = Rounds(goal=2 * turns, minimum=1, deadline_seconds=3600, compute_lease_seconds=3600)
            admin.publish(folder / "bundle", Task("load", 1, round=wanted, relabel=Relabel(enabled=False)))
            link = admin.request("POST", "/tokens", json={"max_uses": devices}).json()["enrolment_token"]
            tokens = run(setting, server, enrol_all, link, devices)
            run(setting, server, nothing, 2000)
            # Turns for the uploads: each of these check-ins writes one. All later ones find the round full.
            found = run(setting, server, get_turns, tokens[: 2 * turns])
            rest, held = tokens[2 * turns :] or tokens, list(found.items())
            run(setting, server, max_check_ins, rest, int(500 * seconds))
            run(setting, server, steady_check_ins, rest, 500.0, seconds)
            run(setting, server, max_updates, held[:turns], parameters)
            run(setting, server, both, rest, held[turns : 2 * turns - 1], parameters, (500.0, 100.0))
            setting.rss_mb = server.rss_mb()
            setting.rss_kb_per_device = round((setting.rss_mb - empty) * 1024 / devices, 1)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return setting


def show(setting: Setting) -> None:
    """The table of one setting."""
    print(f"\n{setting.database}, {setting.workers} worker(s), {setting.devices} devices", flush=True)
    print(f"{'':42}{'requests':>9}{'per s':>9}{'p50 ms':>9}{'p99 ms':>9}{'errors':>8}{'cpu ms':>8}")
    for line in setting.figures:
        print(
            f"{line.phase:42}{line.requests:9}{line.per_second:9.1f}{line.p50_ms:9.2f}{line.p99_ms:9.2f}{line.errors:8}{line.cpu_ms:8.2f}"
        )
    print(f"resident memory {setting.rss_mb:.0f} MB; {setting.rss_kb_per_device:.1f} kB more per device", flush=True)


def main() -> None:
    """Measure every combination, print tables, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, nargs="+", default=[1000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1])
    parser.add_argument("--database", nargs="+", default=["sqlite"], help="sqlite, or PostgreSQL URLs")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each steady phase")
    parser.add_argument("--parameters", type=int, default=100_000, help="of the model; 100 000 make updates of 400 kB")
    parser.add_argument("--output", type=Path, default=RESULTS / "coordinator_load.json")
    arguments = parser.parse_args()
    settings = []
    for database in arguments.database:
        for workers in arguments.workers:
            for devices in arguments.devices:
                settings.append(measure(database, workers, devices, arguments.seconds, arguments.parameters))
                show(settings[-1])
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    report = {"machine": f"{platform.machine()}, {os.cpu_count()} cores", "settings": [asdict(s) for s in settings]}
    arguments.output.write_text(json.dumps(report, indent=2) + "\n")
    print(f"\nwritten to {arguments.output}")


if __name__ == "__main__":
    main()
