"""What kind of device each of the fleet is, and what goes wrong in each of its wake-ups: all by the scenario's seed.

Shares are kept exactly: of 100 devices with a malicious share of 0.2, twenty attack.

    >>> from fedrela.emulator.scenario import from_toml
    >>> fleet = DeviceProfiles(from_toml('name = "a"\\ndevices = 10\\n[[malicious]]\\nattack = "nan"\\nshare = 0.2'))
    >>> sum(fleet.of(device).malicious is not None for device in range(10))
    2
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedrela.core.hours import parse_hours, within
from fedrela.core.streams import derive, permutation, uniforms
from fedrela.emulator.scenario import DeviceClass, InvalidScenario, MaliciousClass, Scenario

_SECRET = b"fedrela emulator"
_DAY_HOURS = 24.0
_HOUR_MINUTES = 60


@dataclass(frozen=True)
class DeviceProfile:
    """One device: its class, and what varies within the class."""

    index: int
    kind: DeviceClass
    steps_per_second: float
    clock_skew_seconds: float
    utc_offset_hours: float
    malicious: MaliciousClass | None
    secret: bytes  # 32 bytes, the seed of everything the device's own client draws

    def awake(self, hour_utc: float) -> bool:
        """Is it on its charger and on Wi-Fi at this hour (any number; 24 is midnight again)?"""
        hours = self._hours()
        local = (hour_utc + self.utc_offset_hours) % _DAY_HOURS
        return hours is None or within(local, *hours)

    def hours_until_awake(self, hour_utc: float) -> float:
        """0 if awake, else the time until its next charging hours begin."""
        hours = self._hours()
        if hours is None or self.awake(hour_utc):
            return 0.0
        return (hours[0] - hour_utc - self.utc_offset_hours) % _DAY_HOURS

    def _hours(self) -> tuple[float, float] | None:
        """The hour of its day at which its charging hours begin, and that at which they end; None: always awake."""
        if not self.kind.awake:
            return None
        start, end = parse_hours(self.kind.awake, "device.awake", InvalidScenario)
        return start / _HOUR_MINUTES, end / _HOUR_MINUTES


@dataclass(frozen=True)
class FaultPlan:
    """What happens in one wake-up of one device, besides its requests."""

    drop_out: bool
    crash_after_share: float  # of the steps; 1 or more: it does not crash
    slowdown: float  # times the training time
    leave: bool  # its owner removes it afterwards
    lost_before: str = ""  # which message of a group: the last part of its path; "": none


class DeviceProfiles:
    """The fleet's devices, each made when it is asked for first."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        shares = np.array([kind.share for kind in scenario.device])
        self._kind = _assign(scenario, "class", shares / shares.sum())
        malicious = [item.share for item in scenario.malicious]
        # The stream keeps its first label: another one would give other devices the attacks.
        self._malicious = _assign(scenario, "hostile", np.array([1 - sum(malicious), *malicious]))
        self._known: dict[int, DeviceProfile] = {}

    def of(self, index: int) -> DeviceProfile:
        """That of device `index`, from 0."""
        if index not in self._known:
            self._known[index] = self._make(index)
        return self._known[index]

    def _make(self, index: int) -> DeviceProfile:
        scenario = self._scenario
        kind = scenario.device[self._kind[index]]
        speed, skew, offset = uniforms(derive(_SECRET, scenario.seed, "device", index), (3,)).tolist()
        malicious = self._malicious[index]
        words = derive(_SECRET, scenario.seed, "secret", index)
        return DeviceProfile(
            index=index,
            kind=kind,
            steps_per_second=kind.steps_per_second * (1 + kind.speed_spread * (2 * speed - 1)),
            clock_skew_seconds=kind.clock_skew_seconds * (2 * skew - 1),
            utc_offset_hours=kind.utc_offset_spread_hours * (2 * offset - 1),
            malicious=scenario.malicious[malicious - 1] if malicious else None,
            secret=b"".join(number.to_bytes(4, "little") for number in (*words.key, *words.nonce)) * 2,
        )

    def fault_plan(self, index: int, wake_up: int) -> FaultPlan:
        """What is drawn for wake-up number `wake_up` (from 0) of device `index`."""
        faults, lost_before = self._scenario.faults, self._lost_before(index, wake_up)
        if not (faults.drop_out or faults.crash or faults.straggler or faults.leave):
            return FaultPlan(drop_out=False, crash_after_share=2.0, slowdown=1.0, leave=False, lost_before=lost_before)
        stream = derive(_SECRET, self._scenario.seed, "fate", index, wake_up)
        drop_out, crash, where, straggler, leave = uniforms(stream, (5,)).tolist()
        return FaultPlan(
            drop_out=drop_out < faults.drop_out,
            crash_after_share=where if crash < faults.crash else 2.0,
            slowdown=faults.straggler_factor if straggler < faults.straggler else 1.0,
            leave=leave < faults.leave,
            lost_before=lost_before,
        )

    def _lost_before(self, index: int, wake_up: int) -> str:
        """The first of a group's messages that this wake-up doesn't come to send."""
        lost = self._scenario.faults.lost_before
        shares = {"shares": lost.share, "update": lost.mask, "reveal": lost.reveal}
        if not any(shares.values()):
            return ""
        drawn = uniforms(derive(_SECRET, self._scenario.seed, "lost", index, wake_up), (len(shares),)).tolist()
        return next((kind for (kind, share), draw in zip(shares.items(), drawn, strict=True) if draw < share), "")


def _assign(scenario: Scenario, purpose: str, shares: NDArray[np.float64]) -> NDArray[np.int16]:
    """A group number per device: exact shares, in random order."""
    devices = scenario.devices
    ends = np.floor(np.cumsum(shares) * devices + 0.5).astype(np.int64)
    group = np.searchsorted(ends, np.arange(devices), side="right").clip(0, len(shares) - 1)
    order = permutation(derive(_SECRET, scenario.seed, purpose), devices)
    assigned = np.empty(devices, np.int16)
    assigned[order] = group
    return assigned
