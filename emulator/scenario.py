"""Scenario: everything an emulated fleet depends on, written as TOML.

An unknown key or an impossible combination is an error at load, and so is a wrong type or a number that is not finite,
in a scenario made in Python as well.

    >>> from_toml('name = "twelve"\\ndevices = 12').data.alpha
    0.1
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from fedrela.core import strict
from fedrela.core.errors import InvalidInput
from fedrela.core.hours import parse_hours
from fedrela.core.privacy import completed
from fedrela.core.task import Task, for_trial
from fedrela.emulator.shipped_settings import ShippedSettings

_FORMER_KEYS = {"hostile": "malicious"}  # of version 0.1; still read
_FORMER_NAMES = {"hostile": "malicious"}  # of shipped scenarios; still found


class InvalidScenario(InvalidInput):
    """A scenario file is malformed or asks for an impossible combination."""


def _require(condition: bool, problem: str, remedy: str) -> None:
    if not condition:
        raise InvalidScenario(problem, remedy=remedy)


def _require_share(value: float, key: str) -> None:
    _require(0 <= value <= 1, f"{key} is {value}", "use a share from 0 to 1")


@dataclass(frozen=True)
class Data:
    """Who holds what. The dataset's training part is made long-tailed first and then spread over the devices."""

    # "digits", the path of an .npz (x, y, x_test, y_test), of a folder or .zip of class folders, or "module:function"
    dataset: str = "digits"
    profile: Literal["exponential", "step", "as-is"] = "exponential"
    imbalance: float = 50.0  # largest class : smallest class
    largest: int = 0  # samples of the largest class; 0: as many as every class could have
    # Held out, balanced, where the dataset has no test part; 0: 40, or a quarter of the rarest class if that is less.
    test_per_class: int = 0
    split: Literal["dirichlet", "classes", "iid"] = "dirichlet"
    alpha: float = 0.1  # of the Dirichlet split; smaller is more skewed
    classes_per_device: int = 2  # of the split by classes
    samples_per_device: int = 0  # 0: each sample on exactly one device; else each draws so many, with replacement

    def __post_init__(self) -> None:
        strict.check(self, InvalidScenario, "data")
        _require(self.imbalance >= 1, f"data.imbalance is {self.imbalance}", "use 1 (balanced) or more")
        _require(self.alpha > 0, f"data.alpha is {self.alpha}", "use a positive number")
        for key in ("largest", "samples_per_device", "test_per_class"):
            _require(getattr(self, key) >= 0, f"data.{key} is {strict.shown(getattr(self, key))}", "use 0 or more")
        _require(self.classes_per_device >= 1, "data.classes_per_device is below 1", "give each device a class")


@dataclass(frozen=True)
class DeviceClass:
    """A share of the fleet with the same hardware, network and habits."""

    name: str = "desk"
    share: float = 1.0  # relative to the shares of the other classes
    runtime: Literal["onnx", "executorch"] = "onnx"
    client_version: str = ""  # "": this version
    steps_per_second: float = 50.0  # training steps
    speed_spread: float = 0.0  # each device's speed is multiplied by a number in 1 -+ spread
    download_mbit_per_second: float = 50.0
    upload_mbit_per_second: float = 20.0
    latency_seconds: float = 0.02  # of one request
    memory_bytes: int = 4_000_000_000  # free memory, as the device's own eligibility check sees it
    clock_skew_seconds: float = 0.0  # each device's clock is off by up to this much, either way
    awake: str = ""  # local time, "22:00-06:00": on its charger and on Wi-Fi; "": always
    utc_offset_spread_hours: float = 0.0  # local time differs by up to this much, either way
    battery_percent: float = 80.0  # while not on its charger

    def __post_init__(self) -> None:
        strict.check(self, InvalidScenario, "device")
        _require(self.share > 0, f"device.share of {self.name!r} is {self.share}", "use a positive share")
        for key in ("steps_per_second", "download_mbit_per_second", "upload_mbit_per_second"):
            _require(getattr(self, key) > 0, f"device.{key} of {self.name!r} is not positive", "use a positive rate")
        for key in ("latency_seconds", "clock_skew_seconds", "utc_offset_spread_hours", "memory_bytes"):
            _require(getattr(self, key) >= 0, f"device.{key} of {self.name!r} is negative", "use 0 or more")
        _require(0 <= self.speed_spread < 1, f"device.speed_spread of {self.name!r} is out of range", "use 0 to < 1")
        if self.awake:
            parse_hours(self.awake, f"device.awake of {self.name!r}", InvalidScenario)


@dataclass(frozen=True)
class LostBefore:
    """In secure rounds: the share of wake-ups in which a device is gone before it sends a message of its group."""

    share: float = 0.0
    mask: float = 0.0  # its masked update
    reveal: float = 0.0

    def __post_init__(self) -> None:
        strict.check(self, InvalidScenario, "faults.lost_before")
        for key in ("share", "mask", "reveal"):
            _require_share(getattr(self, key), f"faults.lost_before.{key}")


@dataclass(frozen=True)
class Faults:
    """What goes wrong, as shares: of wake-ups (drop-outs, crashes, stragglers) or of requests (the rest)."""

    drop_out: float = 0.0  # takes an assignment and is never heard of again in that wake-up
    crash: float = 0.0  # loses power in mid-training and comes back later
    crash_seconds: float = 60.0  # how long it is off
    leave: float = 0.0  # its owner removes it afterwards; when it wakes next, it enrolls as a new device
    straggler: float = 0.0  # is slower by `straggler_factor` this time
    straggler_factor: float = 10.0
    request_lost: float = 0.0  # never reaches the coordinator
    response_lost: float = 0.0  # was served, but the answer is lost
    duplicated: float = 0.0  # arrives twice
    truncated: float = 0.0  # the answer breaks off half-way
    unavailable: float = 0.0  # answered 503 on the way
    delayed: float = 0.0
    delay_seconds: float = 5.0
    lost_before: LostBefore = field(default_factory=LostBefore)

    def __post_init__(self) -> None:
        strict.check(self, InvalidScenario, "faults")
        shares = ("drop_out", "crash", "leave", "straggler", "request_lost", "response_lost", "duplicated")
        for key in (*shares, "truncated", "unavailable", "delayed"):
            _require_share(getattr(self, key), f"faults.{key}")
        _require(self.straggler_factor >= 1, "faults.straggler_factor is below 1", "use 1 or more")
        for key in ("crash_seconds", "delay_seconds"):
            _require(getattr(self, key) >= 0, f"faults.{key} is negative", "use 0 or more")

    @property
    def lossy(self) -> bool:
        """Does anything happen to single requests?"""
        names = ("request_lost", "response_lost", "duplicated", "truncated", "unavailable", "delayed")
        return any(getattr(self, name) > 0 for name in names)


Attack = Literal[
    "label-flip", "sign-flip", "scale", "nan", "replay", "garbage", "lie-about-examples",
    "huge-update", "wrong-share", "replay-keys",
]  # fmt: skip


@dataclass(frozen=True)
class MaliciousClass:
    """A share of the fleet that attacks. `huge-update`, `wrong-share` and `replay-keys` are for secure rounds alone."""

    attack: Attack
    share: float
    factor: float = 10.0  # scale and sign-flip: times this; lie-about-examples: times this many

    def __post_init__(self) -> None:
        strict.check(self, InvalidScenario, "malicious")
        _require_share(self.share, f"malicious.share of {self.attack!r}")
        _require(self.factor > 0, f"malicious.factor of {self.attack!r} is {self.factor}", "use a positive factor")


@dataclass(frozen=True)
class WakeSchedule:
    """When devices come. `on-demand`: as many as a round wants are woken, as by a push; `poll`: each by itself."""

    mode: Literal["on-demand", "poll"] = "on-demand"
    spread_seconds: float = 1.0  # on-demand: the woken arrive over this time; poll: the first visits do
    poll_seconds: float = 600.0  # poll: a device comes again after about this long

    def __post_init__(self) -> None:
        strict.check(self, InvalidScenario, "wake")
        _require(self.spread_seconds >= 0, f"wake.spread_seconds is {self.spread_seconds}", "use 0 or more")
        _require(self.poll_seconds > 0, f"wake.poll_seconds is {self.poll_seconds}", "use a positive time")


@dataclass(frozen=True)
class Scenario:
    """One fleet."""

    name: str
    devices: int
    seed: int = 0
    description: str = ""
    start_hour_utc: float = 0.0  # what the clock on the wall shows when virtual time begins
    max_hours: float = 240.0  # virtual time after which the run is given up
    bundle: str = ""  # a folder that `fedrela export` wrote, relative to the scenario file; or:
    export: tuple[str, ...] = ()  # what one would type after `fedrela export` to make it
    task: Task | None = None  # published by the emulator, unless it is pointed to a task that exists
    data: Data = field(default_factory=Data)
    wake: WakeSchedule = field(default_factory=WakeSchedule)
    faults: Faults = field(default_factory=Faults)
    device: tuple[DeviceClass, ...] = (DeviceClass(),)
    malicious: tuple[MaliciousClass, ...] = ()

    def __post_init__(self) -> None:
        strict.check(self, InvalidScenario)
        _require(bool(self.name), "name is empty", "name the scenario")
        _require(self.devices >= 1, f"devices is {strict.shown(self.devices)}", "emulate at least 1 device")
        _require(self.seed >= 0, f"seed is {strict.shown(self.seed)}", "use 0 or more")
        _require(self.max_hours > 0, f"max_hours is {self.max_hours}", "use a positive time")
        _require(len(self.device) >= 1, "there is no device class", "leave [[device]] out, or describe one")
        total = sum(attackers.share for attackers in self.malicious)
        _require(total <= 1, f"the malicious shares sum to {total}", "let them sum to at most 1")
        _require(not (self.bundle and self.export), "both bundle and export are given", "keep one of them")


def from_toml(text: str) -> Scenario:
    """Read a scenario. Raises InvalidScenario (or InvalidTask for its task) naming the key at fault."""
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as fault:  # also for a number of more than 4300 digits
        raise InvalidScenario(f"the scenario file is not TOML ({fault})", remedy="correct that line") from fault
    if isinstance(task := values.get("task"), Mapping):
        values["task"] = completed(task)  # as in a task's file
    return from_mapping(values)


def from_mapping(values: Mapping[str, Any]) -> Scenario:
    """A scenario from plain values, such as those that a run was recorded with. Raises as `from_toml` does.

    Nobody is behind an emulated device: where the task's goal is small, so is its smallest cohort.
    """
    current = current_names(values)
    if isinstance(task := current.get("task"), Mapping):
        current["task"] = for_trial(task)
    return strict.build(Scenario, current, InvalidScenario)


def current_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same values, each key by the name that it has now. Raises InvalidScenario if one stands under two names."""
    for former, name in _FORMER_KEYS.items():
        _require(not {former, name} <= set(values), f"both {name} and {former} are there", f"keep {name}, its name now")
    return {_FORMER_KEYS.get(key, key): value for key, value in values.items()}


_SHIPPED = ShippedSettings("scenario", "fedrela.emulator", "scenarios", from_toml, InvalidScenario, _FORMER_NAMES)


def shipped() -> tuple[str, ...]:
    """The names of those that come with the package."""
    return _SHIPPED.names()


def load(name_or_path: str) -> tuple[Scenario, Path]:
    """A scenario by the path of its file, or a shipped one by name; with the folder that its paths are relative to."""
    return _SHIPPED.load(name_or_path)
