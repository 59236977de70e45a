"""Who comes when: devices that are woken on demand, and devices that come by themselves.

All of it follows from the scenario's seed.

    arrivals = Arrivals(scenario, profiles)
    for device, t in arrivals.wave(20, round_number=3, now=60.0, away=active): ...
"""

from collections.abc import Container
from dataclasses import dataclass, field

from fedrela.core.streams import derive, permutation, uniforms
from fedrela.emulator.fleet.messages import Done
from fedrela.emulator.fleet.profiles import DeviceProfiles
from fedrela.emulator.scenario import Scenario

_SECRET = b"fedrela emulator"


@dataclass
class Arrivals:
    """Times are virtual seconds since the start."""

    scenario: Scenario
    profiles: DeviceProfiles
    _waves: int = 0
    _candidates: list[int] = field(default_factory=list)  # of this round, to be woken, last first
    _candidates_round: int = 0

    def wave(self, count: int, *, round_number: int, now: float, away: Container[int]) -> list[tuple[int, float]]:
        """Up to `count` devices that are awake and not in `away`, each with the time at which it comes."""
        woken = [device for _ in range(count) if (device := self._candidate(round_number, now, away)) is not None]
        if not woken:
            return []
        self._waves += 1
        spread = self._share("arrival", self._waves, count=len(woken))
        seconds = self.scenario.wake.spread_seconds
        return [(device, now + share * seconds) for device, share in zip(woken, spread, strict=True)]

    def start_over(self) -> None:
        """Everybody has been woken in this round: begin again."""
        self._candidates_round = 0

    def first_visits(self) -> list[tuple[int, float]]:
        """Poll: every device with the time of its first visit."""
        seconds = self.scenario.wake.spread_seconds
        shares = (self._share("first visit", device)[0] for device in range(self.scenario.devices))
        return [(device, self._when_awake(device, share * seconds)) for device, share in enumerate(shares)]

    def next_visit(self, done: Done, wake_ups: int, lease_seconds: float) -> float:
        """Poll: when the coordinator or the device's own habit says, and it is awake. `wake_ups`: how many it had."""
        (share,) = self._share("visit", done.device, wake_ups)
        pause = self.scenario.wake.poll_seconds * (0.75 + 0.5 * share)
        if done.kind == "drop-out":
            pause = max(pause, lease_seconds)
        return self._when_awake(done.device, done.t + max(pause, done.retry_after_seconds))

    def _candidate(self, round_number: int, now: float, away: Container[int]) -> int | None:
        """The next device in this round's random order that is idle and awake."""
        if self._candidates_round != round_number:
            stream = derive(_SECRET, self.scenario.seed, "cohort", round_number)
            self._candidates = permutation(stream, self.scenario.devices).tolist()
            self._candidates_round = round_number
        for place in range(len(self._candidates) - 1, -1, -1):
            device = self._candidates[place]
            if device not in away:
                del self._candidates[place]
                if self.profiles.of(device).awake(self._hour(now)):
                    return device
        return None

    def _share(self, purpose: str, *numbers: int, count: int = 1) -> list[float]:
        shares: list[float] = uniforms(derive(_SECRET, self.scenario.seed, purpose, *numbers), (count,)).tolist()
        return shares

    def _when_awake(self, device: int, t: float) -> float:
        return t + 3600 * self.profiles.of(device).hours_until_awake(self._hour(t))

    def _hour(self, t: float) -> float:
        return self.scenario.start_hour_utc + t / 3600
