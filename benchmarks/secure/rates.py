"""How many devices a second the emulator trains, coordinator and devices in one process: secure rounds beside plain."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks.secure.accuracy import MODEL
from fedrela.core.privacy import Privacy
from fedrela.core.task import Aggregation, LocalTraining, Relabel, Rounds, Task
from fedrela.emulator import emulation
from fedrela.emulator.connections import local_coordinator
from fedrela.emulator.emulation import CoordinatorAccess
from fedrela.emulator.scenario import Data, Scenario

COHORT = 80
BAR = 0.4
MODES = {"plain": Privacy("none"), "secure": Privacy("peers", 16, 16)}


def measure(folder: Path, trainings: int) -> dict[str, float]:
    """Both, on the same fleet."""
    command = [sys.executable, "-m", "fedrela", "export", *MODEL, "--out", str(folder / "rates-bundle")]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return {mode: round(_rate(folder, privacy, mode, trainings), 1) for mode, privacy in MODES.items()}


def _rate(folder: Path, privacy: Privacy, mode: str, trainings: int) -> float:
    task = Task(
        "rates",
        rounds=max(trainings // COHORT, 1),
        local=LocalTraining(epochs=2),
        relabel=Relabel(enabled=False),
        round=Rounds(goal=COHORT),
        aggregation=Aggregation(weight_by_examples=False),
        privacy=privacy,
    )
    played = Scenario("rates", 2 * COHORT, data=Data(samples_per_device=12, imbalance=10.0, alpha=0.5))
    with (
        local_coordinator.throwaway_folder() as data,
        local_coordinator.in_process(data) as (url, admin_key, transport),
    ):
        access = CoordinatorAccess(url, admin_key, transport)
        with emulation.admin_of(access) as admin:
            task_id = admin.publish(folder / "rates-bundle", task)
        summary = emulation.emulate(played, access, task_id, out=folder / f"rates-{mode}", workers=0, quiet=True)
    return float(summary["machine"]["updates_per_second"])


def bars(rates: Mapping[str, float]) -> dict[str, bool]:
    """What was to be shown, and whether it holds."""
    return {"40 % of the plain devices a second": rates["secure"] >= BAR * rates["plain"]} if rates else {}


def lines(rates: Mapping[str, float]) -> list[str]:
    """Of a table of two columns."""
    return [f"| emulated devices a second, {mode} rounds | {rate:.0f} |\n" for mode, rate in rates.items()]
