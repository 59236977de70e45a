"""What a run leaves on disk, how it is read back, and where two runs of one scenario differ, if they do.

runs/NAME/
  run.json       the scenario, the task and the class groups; written first
  events.jsonl   one line per thing that happened to a device, in virtual time; the same for the same scenario
  rounds.jsonl   one line per committed round: checkpoint, accuracy, loss, counts
  summary.json   the hash of the final weights, totals, and what depends on the machine; written last

>>> line(DeviceEvent(12.5, 3, "update", round=1, bytes_up=400))
'{"t":12.5,"device":3,"event":"update","round":1,"bytes_up":400}'
"""

import dataclasses
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from fedrela.core.data.partition import Accuracy
from fedrela.core.errors import InvalidInput, InvalidTask, VerificationFailed
from fedrela.core.strict import build
from fedrela.core.task import Task, for_trial
from fedrela.emulator.scenario import Scenario, from_mapping

FORMAT = 1


@dataclass(frozen=True)
class DeviceEvent:
    """Something that happened to a device at virtual time `t`, in seconds. Empty fields are left out of the log."""

    t: float
    device: int
    event: str  # "assigned", "wait", "update", "enroll", "leave", "refused", "failure", "drop-out", "crash", "error"
    round: int = 0
    code: str = ""  # why: a wait's reason, a failure's code, a refusal's code
    seconds: float = 0.0  # of training
    bytes_down: int = 0
    bytes_up: int = 0
    sha256: str = ""  # of an update's body


@dataclass(frozen=True)
class RoundResult:
    """One committed global model (round 0: the start weights) and how the round went."""

    round: int
    t: float  # virtual seconds at the commit
    checkpoint_sha256: str
    updates: int
    loss: float  # mean negative log likelihood on the test set
    accuracy: Accuracy


@dataclass(frozen=True)
class Run:
    """A run as read back."""

    folder: Path
    label: str
    seed: int
    header: dict[str, Any]
    rounds: list[dict[str, Any]]
    events: list[dict[str, Any]]
    summary: dict[str, Any]

    @property
    def complete(self) -> bool:
        """Did the run get to its end?"""
        return bool(self.summary.get("final_sha256"))


# Asked for once: a run writes many lines.
_FIELDS = {
    cls: [(field.name, field.default) for field in dataclasses.fields(cls)] for cls in (DeviceEvent, RoundResult)
}


def line(value: DeviceEvent | RoundResult) -> str:
    """One line of JSON, keys in the order of the fields; a field at its default is left out, a NaN is null."""
    items = ((name, getattr(value, name), default) for name, default in _FIELDS[type(value)])
    data = {
        name: dataclasses.asdict(item) if dataclasses.is_dataclass(item) and not isinstance(item, type) else item
        for name, item, default in items
        if item != default
    }
    return json.dumps(finite(data), separators=(",", ":"), allow_nan=False)


class Recorder:
    """Owns the open files of a run that is being made; a context manager. Raises InvalidInput where there is one."""

    def __init__(self, folder: Path, header: dict[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        try:
            with (folder / "run.json").open("x", encoding="utf-8") as file:
                file.write(json.dumps({"format": FORMAT, **header}, indent=1) + "\n")
        except FileExistsError as error:  # it was free when this run began, and another began at the same time
            raise InvalidInput(f"{folder} holds a run already", remedy="run it again, or name another --out") from error
        self._events = (folder / "events.jsonl").open("w", encoding="utf-8")
        self._rounds = (folder / "rounds.jsonl").open("w", encoding="utf-8")

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *_: object) -> None:
        self._events.close()
        self._rounds.close()

    def events(self, events: Iterable[DeviceEvent]) -> None:
        """Append events, sorted by time, then device: independent of which of two simultaneous ones ended first."""
        for event in sorted(events, key=lambda e: (e.t, e.device, e.event)):
            self._events.write(line(event) + "\n")
        self._events.flush()

    def round(self, result: RoundResult) -> None:
        """Append a committed round."""
        self._rounds.write(line(result) + "\n")
        self._rounds.flush()

    def finish(self, summary: dict[str, Any]) -> None:
        """Write the summary."""
        (self.folder / "summary.json").write_text(json.dumps(finite(summary), indent=1) + "\n", encoding="utf-8")


def read(folder: Path) -> Run:
    """Read a run, complete or not. Raises InvalidInput if the folder holds none."""
    try:
        header = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        rounds = _lines(folder / "rounds.jsonl")
        events = _lines(folder / "events.jsonl")
        summary_path = folder / "summary.json"
        summary = json.loads(summary_path.read_text(encoding="utf-8")) if summary_path.exists() else {}
        if header.get("format") != FORMAT:
            raise InvalidInput(f"{folder} has format {header.get('format')}", remedy="make the run again")
        return Run(folder, header["label"], header["task"]["seed"], header, rounds, events, summary)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InvalidInput(
            f"{folder} holds no run ({Path(error.filename).name} is missing)",
            remedy="point to a folder that `fedrela emulate` wrote",
        ) from error
    except (ValueError, RecursionError, AttributeError, KeyError, TypeError) as error:  # text, JSON, or not a run's
        raise InvalidInput(f"a file in {folder} is damaged ({error})", remedy="make the run again") from error


def recorded_scenario(folder: Path) -> Scenario:
    """The scenario of a run, with the task that it ran. Raises InvalidInput if the folder holds no run."""
    header = read(folder).header
    scenario = from_mapping(header["scenario"])
    return dataclasses.replace(scenario, task=build(Task, for_trial(header["task"]), InvalidTask))


def check_same(first: Path, second: Path) -> None:
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


def free_folder(preferred: Path) -> Path:
    """`preferred`, or the first of preferred-2, preferred-3, ... that does not exist: no run overwrites another."""
    number, folder = 1, preferred
    while folder.exists():
        number += 1
        folder = preferred.with_name(f"{preferred.name}-{number}")
    return folder


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines() if text]


def finite(value: Any) -> Any:
    """The same with NaN and infinity as None, which JSON can hold."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value
