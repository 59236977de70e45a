"""How long a round of a group of 16 takes over HTTP on loopback, with and without losses; devices don't train.

A coordinator in a process of its own, 16 devices in threads of this one. "Asking at once" is what messages take; real
devices ask as seldom as they are told, which is most of a round's time.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from benchmarks.serving.fixture import Server, make_bundle
from benchmarks.serving.patient_devices import PARAMETERS
from benchmarks.serving.secure_devices import SecureDevice
from benchmarks.serving.signed_requests import Signed, enroll
from fedrela.core.privacy import Privacy
from fedrela.core.secure.member import Member
from fedrela.core.secure.messages import SecureStep
from fedrela.core.task import Aggregation, Relabel, Rounds, Task

GROUP, LOST = 16, 3
PHASE_SECONDS = 4.0
WHOLE_BAR_SECONDS, SLACK_SECONDS = 3.0, 2.0
_PATIENCE_SECONDS = 120.0
WHOLE, LOSSY, TOLD = "all there, asking at once", "three lost before their update, asking at once", "asking as told"
Row = dict[str, float]


class Gone(Exception):
    """This device vanishes here."""


class MeasuredDevice(SecureDevice):
    """One that may vanish before it sends its update, and may ask when it is told to."""

    def __init__(self, url: str, index: int, credentials: Signed, *, is_lost: bool, as_told: bool) -> None:
        super().__init__(url, index, credentials, 0.0)
        self.is_lost, self.asks_at_once = is_lost, not as_told

    def act(
        self, client: httpx.Client, url: str, member: Member, step: SecureStep, assignment: dict[str, Any]
    ) -> Member:
        """What is asked for, unless it is gone."""
        if self.is_lost and step.step == "mask":
            raise Gone
        return super().act(client, url, member, step, assignment)


def measure(folder: Path) -> Row:
    """Seconds from the first check-in to the committed model."""
    make_bundle(folder / "rounds-bundle", PARAMETERS)
    server = Server(folder / "rounds")
    server.start()
    try:
        return {
            "parameters": PARAMETERS,
            "phase_seconds": PHASE_SECONDS,
            WHOLE: _round(server, folder, lost=0, as_told=False),
            LOSSY: _round(server, folder, lost=LOST, as_told=False),
            TOLD: _round(server, folder, lost=0, as_told=True),
        }
    finally:
        server.stop()


def _round(server: Server, folder: Path, *, lost: int, as_told: bool) -> float:
    name = f"rounds-{lost}-{as_told}"
    task = Task(
        name,
        rounds=1,
        population=name,
        round=Rounds(goal=GROUP - lost, over_selection=GROUP / (GROUP - lost), upload_lease_seconds=PHASE_SECONDS),
        relabel=Relabel(enabled=False),
        aggregation=Aggregation(weight_by_examples=False),
        privacy=Privacy("peers", GROUP, GROUP - lost, gather_seconds=PHASE_SECONDS, phase_seconds=PHASE_SECONDS),
    )
    with server.operator() as admin, httpx.Client(base_url=server.url) as http:
        task_id = admin.publish(folder / "rounds-bundle", task)
        token = admin.request("POST", "/tokens", json={"max_uses": GROUP, "population": name})["enrollment_token"]
        devices = [
            MeasuredDevice(server.url, index, enroll(http, token), is_lost=index < lost, as_told=as_told)
            for index in range(GROUP)
        ]
        start = time.perf_counter()
        for device in devices:
            device.check_in = device.check_in | {"population": name}
            device.start()
        while not admin.task(task_id)["committed_rounds"]:
            if time.perf_counter() - start > _PATIENCE_SECONDS:
                raise RuntimeError(f"the round is not over: {[device.failure for device in devices]}")
            time.sleep(0.02)
        seconds = time.perf_counter() - start
        for device in devices:
            device.join(_PATIENCE_SECONDS)
    failures = [device.failure for device in devices if device.failure is not None]
    if sum(isinstance(failure, Gone) for failure in failures) != lost or len(failures) != lost:
        raise RuntimeError(f"devices failed: {failures}")
    return round(seconds, 2)


def bars(rounds: Mapping[str, float]) -> dict[str, bool]:
    """What was to be shown, and whether it holds."""
    longest = rounds[WHOLE] + rounds["phase_seconds"] + SLACK_SECONDS
    return {
        "a round of 16 in 3 s": rounds[WHOLE] <= WHOLE_BAR_SECONDS,
        "three lost: a phase's time-out and 2 s longer": rounds[LOSSY] <= longest,
    }


def lines(rounds: Mapping[str, float]) -> list[str]:
    """Of a table of two columns."""
    return [f"| a round of 16 over HTTP, {name} | {rounds[name]:.1f} s |\n" for name in (WHOLE, LOSSY, TOLD)]
