"""SIGKILL at random instants: the job completes, bit for bit as if nothing had happened.

    python -m benchmarks.coordinator_kills --kills 200
    python -m benchmarks.coordinator_kills --kills 200 --postgresql --s3 --workers 4
    python -m benchmarks.coordinator_kills --kills 200 --secure      # in every phase of secure rounds

Six devices take part in every one of 20 rounds, over real HTTP, while the coordinator's process is killed again and
again, in start-up, check-in, upload, aggregation or commit. Each device repeats a request until it is answered. At the
end every acknowledged update must have been counted exactly once and the global model of every round must equal that of
an undisturbed run in which updates arrive in another order.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

from benchmarks.serving import postgresql, s3
from benchmarks.serving.fixture import ADMIN_KEY, SIGNING_KEY, free_port, make_bundle
from benchmarks.serving.patient_devices import PARAMETERS, Device, patiently
from benchmarks.serving.secure_devices import SecureDevice
from benchmarks.serving.signed_requests import enroll
from fedrela.coordinator.admin_client import AdminClient
from fedrela.core.privacy import CLIPPED_SHARE, Privacy
from fedrela.core.task import Aggregation, Relabel, Rounds, Task

RESULTS = Path(__file__).parent / "results"
DEVICES = 6
LONGEST_DELAY_SECONDS = 0.02  # after a device was seen at something, until the kill
PATIENCE_SECONDS = 2.0  # for a device to be where few kills were
SECURE = Privacy("peers", DEVICES, DEVICES, phase_seconds=3600, clipped_share=CLIPPED_SHARE)


@dataclass(frozen=True)
class Outcome:
    """One run of the job."""

    kills: int
    seconds: float
    checkpoints: list[str]  # of each round
    acknowledged: int
    counted: int
    repeated: int  # acknowledgements that said "I have it already"
    places: dict[str, int]  # kills by what a device was at


@dataclass(frozen=True)
class Stores:
    """Where a coordinator keeps what it has, how many processes share it, and which rounds it runs."""

    database_url: str = ""  # SQLite in its folder
    blobs_url: str = ""  # files in its folder
    workers: int = 1
    secure: bool = False  # rounds whose groups are summed


SIMPLE = Stores()


class Coordinator:
    """The forking server as a child process, and the process ids of the coordinator's workers of the moment."""

    def __init__(self, folder: Path, stores: Stores) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        environment = os.environ | {
            "FEDRELA_DATA": str(folder),
            "FEDRELA_DATABASE_URL": stores.database_url,
            "FEDRELA_BLOBS_URL": stores.blobs_url,
            "FEDRELA_ADMIN_KEY": ADMIN_KEY,
            "FEDRELA_SIGNING_KEY": SIGNING_KEY,
            "FEDRELA_RATE_PER_DEVICE": "0",
        }
        folder.mkdir(parents=True)
        with (folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.serving.forks", str(self.port), str(stores.workers)],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self._workers: list[int] = []
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._workers.append(int(line))

    def kill(self, rng: random.Random) -> bool:
        """SIGKILL to one of the workers, if one runs that was not killed before."""
        if not self._workers:
            return False
        os.kill(self._workers.pop(rng.randrange(len(self._workers))), signal.SIGKILL)
        return True

    def stop(self) -> None:
        """End the forking parent and the coordinator."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def run(folder: Path, rounds: int, kills: int, *, stores: Stores = SIMPLE, seed: int = 0) -> Outcome:
    """The whole job, with `kills` kills spread over it (0: undisturbed)."""
    started = time.perf_counter()
    make_bundle(folder / "bundle", PARAMETERS)
    coordinator = Coordinator(folder / "data", stores)
    try:
        with httpx.Client() as client:
            patiently(client, "GET", f"{coordinator.url}/readyz")
        with AdminClient(coordinator.url, ADMIN_KEY) as admin:
            leases = {"compute_lease_seconds": 3600, "upload_lease_seconds": 3600}
            settings = Rounds(goal=DEVICES, minimum=DEVICES, deadline_seconds=3600, **leases)
            task = Task(
                "kills",
                rounds,
                round=settings,
                relabel=Relabel(enabled=False),
                aggregation=Aggregation(
                    server_optimizer="fedadam", server_lr=0.1, weight_by_examples=not stores.secure
                ),
                privacy=SECURE if stores.secure else Privacy(),
            )
            task_id = admin.publish(folder / "bundle", task)
            token = admin.request("POST", "/tokens", json={"max_uses": DEVICES})["enrollment_token"]
        pause = 0.12 * kills / rounds
        with httpx.Client(base_url=coordinator.url) as http:
            kind = SecureDevice if stores.secure else Device
            devices = [kind(coordinator.url, i, enroll(http, token), pause) for i in range(DEVICES)]
        for device in devices if kills else reversed(devices):
            device.start()
        places = _kill_at_random(coordinator, devices, kills, random.Random(seed))
        for device in devices:
            device.join(600)
            if device.failure or device.is_alive():
                raise RuntimeError(f"device {device.index} did not finish: {device.failure}")
        with httpx.Client(headers={"Authorization": f"Bearer {ADMIN_KEY}"}) as client:
            history = patiently(client, "GET", f"{coordinator.url}/v1/admin/tasks/{task_id}/rounds").json()
    finally:
        coordinator.stop()
    return Outcome(
        places.total(),
        round(time.perf_counter() - started, 1),
        [record["checkpoint_sha256"] for record in history],
        sum(len(set(device.acknowledged)) for device in devices),
        sum(record["updates"] for record in history),
        sum(device.repeated for device in devices),
        dict(places),
    )


def _kill_at_random(coordinator: Coordinator, devices: list[Device], kills: int, rng: random.Random) -> Counter[str]:
    """Kill while a device is at what was hit least so far, as far as devices are there; by what it was at."""
    places: Counter[str] = Counter(dict.fromkeys(devices[0].places, 0))
    while places.total() < kills and (alive := [device for device in devices if device.is_alive()]):
        place = _place(alive, places)
        time.sleep(rng.uniform(0.0, LONGEST_DELAY_SECONDS))
        places[place] += coordinator.kill(rng)
    return places


def _place(devices: list[Device], places: Mapping[str, int]) -> str:
    """The least hit of all places, or when its time doesn't come, of those where devices are."""
    least = min(places.values())
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        for device in devices:
            if places[doing := device.doing] == least:
                return doing
        time.sleep(0.001)
    return min((device.doing for device in devices), key=places.__getitem__)


def compare(rounds: int, kills: int, *, stores: Stores = SIMPLE, seed: int = 0) -> tuple[Outcome, Outcome]:
    """An undisturbed run and a killed one. `stores` are the killed run's."""
    folder = Path(tempfile.mkdtemp(prefix="coordinator-kills-"))
    try:
        calm = run(folder / "calm", rounds, 0, stores=Stores(secure=stores.secure))
        killed = run(folder / "killed", rounds, kills, stores=stores, seed=seed)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return calm, killed


def faults(calm: Outcome, killed: Outcome, rounds: int) -> list[str]:
    """What is wrong, if anything."""
    faults = []
    if len(killed.checkpoints) != rounds or None in killed.checkpoints:
        faults.append("the job did not complete")
    if killed.checkpoints != calm.checkpoints:
        faults.append("the weights differ from the undisturbed run's")
    for outcome in (calm, killed):
        if not outcome.acknowledged == outcome.counted == rounds * DEVICES:
            faults.append(f"{outcome.acknowledged} updates were acknowledged and {outcome.counted} counted")
    return faults


def main() -> None:
    """Run, print, write JSON; exit status 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes of the killed run's coordinator")
    parser.add_argument("--postgresql", action="store_true", help="a PostgreSQL server of its own for the killed run")
    parser.add_argument("--s3", action="store_true", help="an S3-compatible server of its own for the killed run")
    parser.add_argument("--secure", action="store_true", help="secure rounds")
    parser.add_argument("--output", type=Path, default=RESULTS / "coordinator_kills.json")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        database_url = stack.enter_context(postgresql.server())() if arguments.postgresql else ""
        blobs_url = stack.enter_context(s3.server()) if arguments.s3 else ""
        stores = Stores(database_url, blobs_url, arguments.workers, arguments.secure)
        calm, killed = compare(arguments.rounds, arguments.kills, stores=stores, seed=arguments.seed)
    wrong = faults(calm, killed, arguments.rounds)
    print(f"{'':14}{'kills':>7}{'seconds':>9}{'acknowledged':>14}{'counted':>9}{'repeated':>10}  final weights")
    for name, outcome in (("undisturbed", calm), ("killed", killed)):
        print(
            f"{name:14}{outcome.kills:7}{outcome.seconds:9}{outcome.acknowledged:14}{outcome.counted:9}"
            f"{outcome.repeated:10}  {outcome.checkpoints[-1][:16]}"
        )
    print("kills while a device was at:", killed.places)
    print("\n".join(wrong) or "bit-identical; no acknowledged update lost or counted twice")
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    setting = f"{'PostgreSQL' if arguments.postgresql else 'SQLite'}, {'S3' if arguments.s3 else 'files'}, "
    setting += f"{arguments.workers} worker(s){', secure rounds' if arguments.secure else ''}"
    reports = json.loads(arguments.output.read_text()) if arguments.output.exists() else {}
    reports[setting] = {"undisturbed": asdict(calm), "killed": asdict(killed), "faults": wrong}
    arguments.output.write_text(json.dumps(reports, indent=2) + "\n")
    sys.exit(1 if wrong or killed.kills < arguments.kills else 0)


if __name__ == "__main__":
    main()
