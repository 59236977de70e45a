"""A thousand emulated devices, some of which vanish: how many groups fail, beside what a coin would say.

    python -m benchmarks.secure.losses                    # 1 000 devices, some ten minutes on one core
    python -m benchmarks.secure.losses --devices 320

Devices vanish before they share, before they send their masked update, or before they reveal: a fifth of them in one
phase at a time, or 7 % in each of the three. A group of 16 bears five losses. How many groups fail is compared
with the binomial distribution: at most four standard deviations off. The last fleet is emulated again in worker
processes: its weights must be the same bits. Writes benchmarks/results/secure_losses.json and the table of
docs/privacy.md.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from benchmarks import pages
from benchmarks.secure.accuracy import MODEL
from fedrela.core.privacy import Privacy
from fedrela.core.secure import statements
from fedrela.core.task import Aggregation, LocalTraining, Relabel, Rounds, Task
from fedrela.emulator import emulation
from fedrela.emulator.connections import local_coordinator
from fedrela.emulator.emulation import CoordinatorAccess
from fedrela.emulator.scenario import Data, Faults, LostBefore, Scenario

COMMAND = "benchmarks.secure.losses"
RESULTS = Path(__file__).parents[1] / "results" / "secure_losses.json"
GROUP = 16
PHASE_SECONDS = 8.0  # who is lost is waited for so long, by all others of its group
FLEETS = {
    "a fifth before they share": LostBefore(share=0.2),
    "a fifth before their update": LostBefore(mask=0.2),
    "a fifth before they reveal": LostBefore(reveal=0.2),
    "7 % in each phase": LostBefore(0.07, 0.07, 0.07),
}
AGAIN_WITH_WORKERS = (1, 4)
DEVIATIONS = 4.0


@dataclass(frozen=True)
class Line:
    """A fleet's first groups and what became of them; `sha256`: of the weights after its round."""

    groups: int
    failed: int
    expected: float
    deviation: float
    updates: int
    sha256: str

    @property
    def holds(self) -> bool:
        """Whether so many failures are no surprise."""
        return abs(self.failed - self.expected) <= DEVIATIONS * self.deviation


def main() -> None:
    """Emulate, print, write; exit status 1 where something doesn't hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--without-workers", action="store_true", help="don't emulate the last fleet again")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="secure-losses-") as name:
        folder = Path(name)
        command = [sys.executable, "-m", "fedrela", "export", *MODEL, "--out", str(folder / "bundle")]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        lines: dict[str, Line] = {}
        for fleet, lost in FLEETS.items():
            lines[fleet] = emulated(folder, arguments.devices, lost, workers=0)
            print(f"{fleet}: {lines[fleet]}", file=sys.stderr, flush=True)
        again = {
            workers: emulated(folder, arguments.devices, lost, workers=workers).sha256
            for workers in (() if arguments.without_workers else AGAIN_WITH_WORKERS)
        }
    document = {"devices": arguments.devices, "fleets": {fleet: asdict(line) for fleet, line in lines.items()}}
    document |= {"again_with_workers": again}
    print(table(document), again)
    RESULTS.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    pages.write(pages.PRIVACY, COMMAND, table(document))
    same = set(again.values()) <= {line.sha256 for line in lines.values()}
    sys.exit(not (same and all(line.holds for line in lines.values())))


def emulated(folder: Path, devices: int, lost: LostBefore, *, workers: int) -> Line:
    """One round of such a fleet; the groups that its devices formed first."""
    played = Scenario("losses", devices, seed=4, data=Data(samples_per_device=12), faults=Faults(lost_before=lost))
    task = Task(
        "losses",
        rounds=1,
        local=LocalTraining(epochs=1),
        relabel=Relabel(enabled=False),
        round=Rounds(goal=devices, minimum=devices // 2, upload_lease_seconds=PHASE_SECONDS),
        aggregation=Aggregation(weight_by_examples=False),
        privacy=Privacy("peers", GROUP, GROUP - 2, phase_seconds=PHASE_SECONDS),
    )
    with (
        local_coordinator.throwaway_folder() as data,
        tempfile.TemporaryDirectory(dir=folder) as out,
        _coordinator(data, workers) as access,
    ):
        with emulation.admin_of(access) as admin:
            task_id = admin.publish(folder / "bundle", task)
        summary = emulation.emulate(played, access, task_id, out=Path(out), workers=workers, quiet=True)
        with emulation.admin_of(access) as admin:
            (record,) = [one for one in admin.rounds(task_id) if one["phase"] == "committed"]
    return _line(record, devices, lost, summary["final_sha256"])


@contextmanager
def _coordinator(data: Path, workers: int) -> Iterator[CoordinatorAccess]:
    """In this process, or where workers have to reach it, in one of its own."""
    if workers:
        with local_coordinator.process(data) as (url, admin_key, process_id):
            yield CoordinatorAccess(url, admin_key, process_id=process_id)
    else:
        with local_coordinator.in_process(data) as (url, admin_key, transport):
            yield CoordinatorAccess(url, admin_key, transport)


def _line(record: Mapping[str, Any], devices: int, lost: LostBefore, sha256: str) -> Line:
    """Of a round as the admin API gives it. Groups of devices whose first group broke up are not counted again."""
    groups = sorted(record["groups"], key=lambda group: group["formed_at"])
    placed = list(accumulate((group["size"] for group in groups), initial=0))
    first = [group for group, before in zip(groups, placed, strict=False) if before < devices]
    share = 1 - (1 - lost.share) * (1 - lost.mask) * (1 - lost.reveal)
    chances = [failing(group["size"], share) for group in first]
    return Line(
        len(first),
        sum(group["phase"] == "failed" for group in first),
        round(sum(chances), 2),
        round(math.sqrt(sum(chance * (1 - chance) for chance in chances)), 2),
        record["updates"],
        sha256,
    )


def failing(members: int, share: float) -> float:
    """How likely more members are lost than a group bears, if each is with this probability."""
    bears = members - statements.threshold(members)
    return 1 - sum(
        math.comb(members, lost) * share**lost * (1 - share) ** (members - lost) for lost in range(bears + 1)
    )


def table(document: Mapping[str, Any]) -> str:
    """One line a fleet."""
    lines = [f"| of {document['devices']} devices vanish | groups | failed | expected | updates in sums |\n"]
    lines.append("|---|---:|---:|---:|---:|\n")
    for fleet, line in document["fleets"].items():
        expected = f"{line['expected']:.1f} ± {line['deviation']:.1f}"
        lines.append(f"| {fleet} | {line['groups']} | {line['failed']} | {expected} | {line['updates']} |\n")
    return "".join(lines)


if __name__ == "__main__":
    main()
