"""How much one coordinator bears: real HTTP from separate processes.

    python -m benchmarks.coordinator_load                                       # all of it, at most 10 minutes
    python -m benchmarks.coordinator_load --devices 1000 --workers 1 --database sqlite

For each setting a coordinator is started as an operator would (`uvicorn fedrela.coordinator.app:app`). Its devices are
registered beforehand, a few hundred of them by the HTTP route. They check in as fast as they are answered, then at a
fixed rate; send updates of 400 kB as fast as that goes; and at last do both at once at fixed rates, from two processes.
The load shares this machine's processors, so a line also gives the coordinator's own processor time per request, and
the first line is a route that does nothing. The bar is 500 check-ins and 100 updates a second, 99 % of the check-ins
answered within 100 ms, and no error. A PostgreSQL server is started for the run.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import platform
import shutil
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from benchmarks.serving import http_load, postgresql, signed_requests
from benchmarks.serving.fixture import Server, make_bundle, settings_of, update_body
from benchmarks.serving.http_load import Answers, Request, at_rate, flat_out, message
from benchmarks.serving.load_table import CHECK_INS, UPDATES, Figures, Setting, compare_with_bar, show
from benchmarks.serving.signed_requests import Signed, enrollment
from fedrela.conformance.files import PUBLISHER
from fedrela.coordinator import context
from fedrela.coordinator.access import auth, tokens
from fedrela.coordinator.storage import schema
from fedrela.core import signing
from fedrela.core.protocol.signed_requests import headers
from fedrela.core.task import Relabel, Rounds, Task

RESULTS = Path(__file__).parent / "results"
ENROLLMENTS = 1000  # by HTTP; all other devices are written to the database before the coordinator starts
CHECK_IN = json.dumps(signed_requests.CHECK_IN).encode()
Assignments = list[tuple[Signed, dict[str, Any]]]  # a device and its assignment


def enrollments(port: int, enrollment_token: str) -> Answers:
    """Devices introduce themselves, each with its own key."""

    def prepare(index: int) -> Request:
        return [message("POST /v1/devices", json.dumps(enrollment(enrollment_token, f"e{index:063x}")).encode())]

    return http_load.run(flat_out(port, prepare, ENROLLMENTS, 16))


def nothing(port: int) -> Answers:
    """A route that does nothing: what HTTP itself costs here."""
    return http_load.run(flat_out(port, lambda _: [message("GET /healthz")], 2000, 16))


def _shown(device: Signed, method: str, path: str, body: bytes) -> dict[str, str]:
    """The headers of a request as `message` takes them."""
    signed = headers(device.private_key, method, path, body)
    return {name.replace("-", "_"): value for name, value in signed.items()} | {
        "authorization": f"Bearer {device.token}"
    }


def _check_ins(devices: list[Signed]) -> http_load.Prepare:
    """Check-ins by device after device."""
    path = "/v1/check-ins"
    requests = [[message(f"POST {path}", CHECK_IN, **_shown(one, "POST", path, CHECK_IN))] for one in devices]
    return lambda index: requests[index % len(requests)]


def check_ins(port: int, devices: list[Signed], count: int, seconds: float) -> Answers:
    """Check-ins as fast as they are answered."""
    return http_load.run(flat_out(port, _check_ins(devices), count, 16, seconds))


def steady_check_ins(port: int, devices: list[Signed], seconds: float) -> Answers:
    """The same at a fixed rate."""
    return http_load.run(at_rate(port, _check_ins(devices), int(CHECK_INS * seconds), CHECK_INS))


def _updates(assignments: Assignments, parameters: int) -> list[Request]:
    """Bodies that differ in their last bytes, so the large part is in memory once."""
    body = update_body(parameters, 0)
    requests: list[Request] = []
    for index, (device, assignment) in enumerate(assignments):
        end, path = np.float32(index).tobytes(), f"/v1/assignments/{assignment['assignment_id']}/update"
        shown = _shown(device, "PUT", path, body[:-4] + end)
        token = assignment["upload_token"]
        head = message(f"PUT {path}", length=len(body), fedrela_upload_token=token, **shown)
        requests.append([head, body[:-4], end])
    return requests


def updates(port: int, assignments: Assignments, parameters: int, seconds: float) -> Answers:
    """Uploads on 16 connections, as fast as they are acknowledged."""
    requests = _updates(assignments, parameters)
    return http_load.run(flat_out(port, requests.__getitem__, len(requests), 16, seconds))


def steady_updates(port: int, assignments: Assignments, parameters: int) -> Answers:
    """Uploads at a fixed rate."""
    requests = _updates(assignments, parameters)
    return http_load.run(at_rate(port, requests.__getitem__, len(requests), UPDATES))


class Bench:
    """One setting under measurement: its server, and the processes that the load comes from."""

    def __init__(self, setting: Setting, server: Server, pool: ProcessPoolExecutor) -> None:
        self.setting, self.server, self._pool = setting, server, pool

    def phase(self, *loads: tuple[str, Any, tuple[Any, ...]]) -> list[Answers]:
        """Run (name, function, arguments) loads side by side; each becomes a line."""
        before = self.server.cpu_seconds()
        under_way = [self._pool.submit(load, self.server.port, *arguments) for _, load, arguments in loads]
        answers = [one.result() for one in under_way]
        spent = self.server.cpu_seconds() - before
        requests = sum(len(one.latencies) for one in answers)
        for (name, _, _), answer in zip(loads, answers, strict=True):
            self.setting.figures.append(_line(name, answer, 1000 * spent / requests))
        return answers

    def assignments(self, folder: Path, devices: list[Signed], name: str) -> Assignments:
        """Publish a task that wants more devices than there are, and give an assignment of it to each of these."""
        rounds = Rounds(
            goal=len(devices) + 1, minimum=1, smallest_cohort=1, deadline_seconds=3600, compute_lease_seconds=3600
        )
        with self.server.operator() as admin:
            admin.publish(folder, Task(name, 1, round=rounds, relabel=Relabel(enabled=False)))
        (joined,) = self.phase(("check-ins that all get an assignment", check_ins, (devices, len(devices), 1e9)))
        assigned = [(one, json.loads(joined.bodies[index])["assignment"]) for index, one in enumerate(devices)]
        return [(one, assignment) for one, assignment in assigned if assignment]


def _line(phase: str, answers: Answers, cpu_ms: float) -> Figures:
    p50, p99 = np.percentile(answers.latencies, [50, 99]) * 1000
    count = len(answers.latencies)
    per_second = round(count / answers.seconds, 1)
    return Figures(phase, count, per_second, round(p50, 2), round(p99, 2), answers.errors, round(cpu_ms, 2))


def register(server: Server, count: int) -> tuple[list[Signed], str]:
    """Write `count` devices to the database of a coordinator that does not run; they, and a link for more."""
    devices = [Signed(auth.new_token(), f"d{index:063x}") for index in range(count)]
    with context.connect(settings_of(server.folder, server.database_url)) as coordinator:
        link = tokens.create_token(coordinator, "default", tokens.MAX_USES, 86400.0, time.time(), (PUBLISHER,))
        fixed = {"population": "default", "token_id": link.token_id, "enrolled_at": 0.0}
        rows = [
            {
                "id": f"d-{index}",
                "token_hash": auth.hash_token(device.token),
                "public_key": signing.public_key(device.private_key),
            }
            | fixed
            for index, device in enumerate(devices)
        ]
        with coordinator.store.write() as tx:
            tx.execute(sa.insert(schema.devices), rows)
    return devices, link.enrollment_token


def measure(setting: Setting, database_url: str, seconds: float, parameters: int) -> None:
    """Everything for one setting."""
    folder = Path(tempfile.mkdtemp(prefix="coordinator-load-"))
    server = Server(folder / "data", workers=setting.workers, database_url=database_url)
    devices, link = register(server, setting.devices)
    make_bundle(folder / "bundle", parameters)
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        try:
            server.start()
            empty = server.rss_mb()
            bench = Bench(setting, server, pool)
            bench.phase(("a route that does nothing", nothing, ()))
            bench.phase(("enrolments", enrollments, (link,)))
            few = int(min(setting.devices // 2, UPDATES * seconds))
            held = bench.assignments(folder / "bundle", devices[:few], "first")
            bench.phase(("updates", updates, (held, parameters, seconds)))
            held = bench.assignments(folder / "bundle", devices[-few:], "second")
            bench.phase(("check-ins", check_ins, (devices, 10**9, seconds)))
            bench.phase((f"check-ins, {CHECK_INS:.0f} due a second", steady_check_ins, (devices, seconds)))
            bench.phase(
                (f"both: check-ins, {CHECK_INS:.0f} due", steady_check_ins, (devices, few / UPDATES)),
                (f"both: updates, {UPDATES:.0f} due", steady_updates, (held, parameters)),
            )
            setting.rss_mb = server.rss_mb()
            setting.rss_mb_per_1000_devices = round((setting.rss_mb - empty) * 1000 / setting.devices, 2)
        finally:
            server.stop()
            shutil.rmtree(folder, ignore_errors=True)
    compare_with_bar(setting)


def main() -> None:
    """Measure every combination, print tables, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--database", nargs="+", default=["sqlite", "postgresql"], choices=["sqlite", "postgresql"])
    parser.add_argument("--seconds", type=float, default=5.0, help="of each phase")
    parser.add_argument("--parameters", type=int, default=100_000, help="of the model; 100 000 make updates of 400 kB")
    parser.add_argument("--output", type=Path, default=RESULTS / "coordinator_load.json")
    arguments, settings = parser.parse_args(), []
    with contextlib.ExitStack() as stack:
        new_database = stack.enter_context(postgresql.server()) if "postgresql" in arguments.database else None
        for database, workers, count in product(arguments.database, arguments.workers, arguments.devices):
            settings.append(Setting(database, workers, count))
            url = new_database() if database == "postgresql" and new_database else ""
            measure(settings[-1], url, arguments.seconds, arguments.parameters)
            show(settings[-1])
    report = {"machine": f"{platform.machine()}, {os.cpu_count()} cores", "settings": [asdict(s) for s in settings]}
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(report, indent=2) + "\n")
    print(f"\nwritten to {arguments.output}")


if __name__ == "__main__":
    main()
