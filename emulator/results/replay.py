"""Playing a recorded run again, and saying where the two differ, if they do. Every run is recorded.

May import `core` and `fedrela.emulator.{record,scenario}`.

    scenario = recorded(Path("runs/ci"))
    check(Path("runs/ci"), Path("runs/ci-2"))
"""

import json
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

from fedrela.core.errors import InvalidTask, VerificationFailed
from fedrela.core.strict import build
from fedrela.core.task import Task
from fedrela.emulator.results import record
from fedrela.emulator.scenario import InvalidScenario, Scenario


def recorded(folder: Path) -> Scenario:
    """The scenario of a run, with the task that it ran. Raises InvalidInput if the folder holds no run."""
    header = record.read(folder).header
    scenario = build(Scenario, header["scenario"], InvalidScenario)
    return replace(scenario, task=build(Task, header["task"], InvalidTask))


def check(first: Path, second: Path) -> None:
    """Raise VerificationFailed naming the first line of the logs in which two runs differ."""
    manifests = [json.loads((folder / "run.json").read_text())["manifest_sha256"] for folder in (first, second)]
    if manifests[0] != manifests[1]:
        raise VerificationFailed(
            f"{first} ran another bundle ({manifests[0][:12]}, now {manifests[1][:12]})",
            remedy="pass the bundle of the recorded run with --bundle",
        )
    for name in ("events.jsonl", "rounds.jsonl"):
        lines = ((folder / name).read_text(encoding="utf-8").splitlines() for folder in (first, second))
        for number, (then, now) in enumerate(zip_longest(*lines), start=1):
            if then != now:
                raise VerificationFailed(
                    f"{name} differs in line {number}: {then or 'nothing'} was recorded, now {now or 'nothing'}",
                    remedy="see that runtimes, bundle and data are those of the recorded run",
                )
