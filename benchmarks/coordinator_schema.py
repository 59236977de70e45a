"""schemathesis against a live coordinator: no 5xx, no answer that the OpenAPI document does not name.

    python -m benchmarks.coordinator_schema --requests 5000

Three runs: the operators' routes with the admin key, the devices' routes with a device's token and key, and every route
with no credentials. What is generated follows the document and also breaks it. Exit status 1 for any finding.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

from benchmarks.serving import schemathesis_hooks
from benchmarks.serving.fixture import ADMIN_KEY, Server, make_bundle
from benchmarks.serving.signed_requests import Signed, enroll
from fedrela.core.task import Relabel, Rounds, Task

RESULTS, ROOT = Path(__file__).parent / "results", Path(__file__).parents[1]
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
OPERATIONS = 26  # about as many as the document has; only to spread the examples


@dataclass(frozen=True)
class Run:
    """One run of schemathesis."""

    name: str
    requests: int
    statuses: dict[str, int]
    findings: int
    output: str


def explore(
    server: Server,
    folder: Path,
    name: str,
    options: list[str],
    examples: int,
    phases: str,
    device: Signed | None = None,
) -> Run:
    """Run schemathesis, as a device or as somebody else, and count from its event log what it sent and got."""
    log = folder / f"{name}.ndjson"
    command = [str(Path(sys.executable).parent / "schemathesis"), "run", f"{server.url}/openapi.json"]
    command += ["--checks", CHECKS, "--max-examples", str(examples), "--phases", phases]
    command += ["--suppress-health-check", "all", "--no-shrink", "--generation-deterministic", "--no-color"]
    command += ["--report", "ndjson", "--report-ndjson-path", str(log), *options]
    environment = dict(os.environ)
    if device is not None:
        environment |= {"SCHEMATHESIS_HOOKS": schemathesis_hooks.__name__, "PYTHONPATH": str(ROOT)}
        environment |= {schemathesis_hooks.TOKEN: device.token, schemathesis_hooks.KEY: device.private_key}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=environment)
    statuses: dict[str, int] = {}
    for line in log.read_text().splitlines() if log.exists() else []:
        for status in _statuses(json.loads(line)):
            statuses[status] = statuses.get(status, 0) + 1
    findings = done.returncode != 0 or any(status.startswith("5") for status in statuses)
    return Run(name, sum(statuses.values()), dict(sorted(statuses.items())), int(findings), done.stdout[-6000:])


def _statuses(event: object) -> list[str]:
    """Every response's status in an event, wherever it is."""
    if isinstance(event, dict):
        statuses = [str(event["status_code"])] if "status_code" in event and "headers" in event else []
        return statuses + [status for value in event.values() for status in _statuses(value)]
    if isinstance(event, list):
        return [status for value in event for status in _statuses(value)]
    return []


def prepare(server: Server, folder: Path) -> Signed:
    """A task and an enrolled device, so that the routes have something to work on; the device's credentials."""
    with server.operator() as admin:
        admin.publish(
            folder / "bundle",
            Task("schema", 5, round=Rounds(goal=3, smallest_cohort=3), relabel=Relabel(enabled=False)),
        )
        secret = admin.request("POST", "/tokens", json={"max_uses": 5})["enrollment_token"]
    with httpx.Client(base_url=server.url) as http:
        return enroll(http, secret)


def measure(requests: int, phases: str = "examples,coverage,fuzzing") -> list[Run]:
    """All three runs, on a coordinator of their own."""
    folder = Path(tempfile.mkdtemp(prefix="coordinator-schema-"))
    server = Server(folder / "data")
    try:
        server.start()
        make_bundle(folder / "bundle", 100)
        prepare(server, folder)
        examples = max(requests // OPERATIONS, 1)
        admin = ["--include-tag", "operators", "-H", f"Authorization: Bearer {ADMIN_KEY}"]
        runs = [explore(server, folder, "operators", admin, examples, phases)]
        # The operators' routes have revoked and cancelled whatever they found: a new device, a new task.
        # An owner's withdrawal would leave the device without credentials for the rest of the run.
        theirs = ["--include-tag", "devices", "--exclude-path", "/v1/devices/self"]
        runs.append(explore(server, folder, "devices", theirs, examples, phases, prepare(server, folder)))
        return [*runs, explore(server, folder, "nobody", [], max(examples // 2, 1), phases)]
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Run, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=5000, help="about how many in all")
    parser.add_argument("--output", type=Path, default=RESULTS / "coordinator_schema.json")
    arguments = parser.parse_args()
    runs = measure(arguments.requests)
    for run in runs:
        print(f"{run.name:12}{run.requests:7} requests  {run.statuses}  {'FINDINGS' if run.findings else 'clean'}")
        if run.findings:
            print(run.output)
    print(f"{sum(run.requests for run in runs)} requests")
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    lines = [asdict(run) | {"output": run.output if run.findings else ""} for run in runs]
    arguments.output.write_text(json.dumps(lines, indent=2) + "\n")
    sys.exit(any(run.findings for run in runs))


if __name__ == "__main__":
    main()
