"""One wake-up of one emulated device: its own client's `run_once`, with an emulated world around it.

What waits and what is scheduled is the business of `fedrela.emulator.workers.worker`.

    done = take(context, Wake(device=3, number=0, t=12.0), hooks)
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import httpx
import numpy as np
from numpy.typing import NDArray

from fedrela.core.bundle import Manifest
from fedrela.core.errors import FedRelaError, InvalidData, Unavailable
from fedrela.core.streams import derive, words
from fedrela.core.wire import Assignment
from fedrela.edge import client as edge_client
from fedrela.edge.client import DeviceClient
from fedrela.edge.conditions.eligibility import Conditions
from fedrela.edge.network.api import CoordinatorApi
from fedrela.edge.owner.settings import DeviceSettings, Event
from fedrela.edge.storage.state import load_identity
from fedrela.edge.training import local_round
from fedrela.edge.training.examples import Examples
from fedrela.emulator.connections.minimal_http import MinimalClient
from fedrela.emulator.devices import malicious
from fedrela.emulator.devices.network import Clock, EmulatedNetwork
from fedrela.emulator.devices.shared_context import SharedContext
from fedrela.emulator.devices.storage import DeviceBlobs, SharedEngines
from fedrela.emulator.fleet.messages import Done, Wake
from fedrela.emulator.fleet.profiles import DeviceProfile, FaultPlan
from fedrela.emulator.results.record import DeviceEvent

_SECRET = b"fedrela emulator"
_SETTINGS = DeviceSettings(keep_sent_log=False)  # the run's event log replaces it


class PowerCut(BaseException):
    """The device is gone, in the middle of whatever it did. Not an Exception: no code of a device may catch it."""


@dataclass
class Hooks:
    """How a wake-up speaks to the scheduler. Each call may take long: other devices go on meanwhile."""

    gate: Callable[[float, str, int], None]  # may this kind of request, of so many bytes, go at this virtual time?
    send: Callable[[httpx.Request], httpx.Response]  # the way to the coordinator
    computing: Callable[[float], None]  # nothing will be heard before this virtual time
    between_steps: Callable[[], None]


def take(context: SharedContext, wake: Wake, hooks: Hooks) -> Done:
    """Run one wake-up to its end, whatever that is."""
    return WakeUp(context, wake, hooks).run()


class WakeUp:
    """One wake-up under way."""

    def __init__(self, context: SharedContext, wake: Wake, hooks: Hooks) -> None:
        self.context, self.hooks = context, hooks
        self.device: DeviceProfile = context.profiles.of(wake.device)
        self.plan: FaultPlan = context.profiles.fault_plan(wake.device, wake.number)
        self.state = context.states[wake.device]
        self.clock = Clock(wake.t, self.device.clock_skew_seconds)
        self.busy_until = 0.0
        self.trained_seconds = 0.0
        self.round = 0
        self.events: list[DeviceEvent] = []
        self.network = EmulatedNetwork(
            device=self.device,
            wake_up=wake.number,
            seed=context.scenario.seed,
            faults=context.scenario.faults,
            clock=self.clock,
            send=hooks.send,
            gate=self._gate,
            assigned=self._assigned,
            shared=context.shared,
            attacker=self.state.attacker,
            private_key=self._private_key,
            is_secure=context.is_secure,
        )

    def _private_key(self) -> str:
        identity = load_identity(self.state.store)
        return identity.private_key if identity is not None else ""

    def run(self) -> Done:
        """What the client does, and how it ended."""
        kind, reason, retry_after = "", "", 0.0
        try:
            api = self._api(MinimalClient(self.network))
            if self.state.store.get("identity.json") is None:
                self.context.join(self.device, api)
                self._log("enrol")
            outcome = self._client(api).run_once()
            if self.plan.leave:
                self._leave(api)
            kind = str(outcome.kind)
            reason, retry_after = outcome.reason, outcome.retry_after_seconds
            self.round = self.round or outcome.round
        except PowerCut as cut:
            kind = str(cut)
        except Unavailable:
            kind = "unreachable"
        except InvalidData as error:
            kind, reason = "error", error.problem
        except FedRelaError as error:
            kind, reason = "error", f"{type(error).__name__}: {error.problem}"
        self._log({"uploaded": "update", "waiting": "wait"}.get(kind, kind), reason)
        ended = max(self.clock.now, self.busy_until)
        return Done(self.device.index, ended, kind, reason, retry_after, tuple(self.events))

    def _api(self, http: MinimalClient) -> CoordinatorApi:
        luck = _jitter(self.context.scenario.seed, self.device.index)
        return CoordinatorApi(
            http,
            self.context.url,
            sleep=self.clock.elapse,
            uniform=lambda: float(next(luck, 0)) / 2**32,
            now=self.clock.device_time,
        )

    def _leave(self, api: CoordinatorApi) -> None:
        """The owner removes the device: the coordinator is told, and nothing stays but the data."""
        state = self.state
        try:
            edge_client.forget(api, state.store)
        except Unavailable:
            return  # nothing has been forgotten: it stays
        state.blobs, state.bundles = DeviceBlobs(self.context.shared), set()
        state.installation += 1
        self._log("leave")

    def _client(self, api: CoordinatorApi) -> DeviceClient:
        context, clock, kind = self.context, self.clock, self.device.kind
        bundles = self.state.bundles
        pool = SharedEngines(context.pools[kind.runtime], bundles.__contains__, bundles.add, context.parsed)
        return DeviceClient(
            api,
            self.state.store,
            data=self._examples,
            pool=pool,
            settings=_SETTINGS,
            blobs=self.state.blobs,
            conditions=self._conditions,
            now=clock.device_time,
            sleep=clock.elapse,
            uniform=api.uniform,
            on_event=self._progress,
        )

    def _examples(self, manifest: Manifest) -> Examples:
        rows = self._rows
        y = malicious.labels(self.context.dataset.y[rows], self.device.malicious, self.context.dataset.classes)
        return Examples({manifest.x[0].name: self.context.dataset.x[rows]}, y)

    @cached_property
    def _rows(self) -> NDArray[np.int64]:
        return self.context.shards.indices(self.device.index)

    def _conditions(self) -> Conditions:
        """What the sensors of this device say now."""
        hour = self.context.scenario.start_hour_utc + self.clock.now / 3600
        awake, kind = self.device.awake(hour), self.device.kind
        return Conditions(
            on_mains=awake,
            battery_percent=100.0 if awake else kind.battery_percent,
            metered=not awake,
            free_memory_bytes=kind.memory_bytes,
            minute_of_day=int((hour + self.device.utc_offset_hours) * 60) % 1440,
        )

    def _gate(self, kind: str, size_bytes: int) -> None:
        self.clock.now = max(self.clock.now, self.busy_until)  # a promise to be silent is kept
        if self.context.is_secure and kind == self.plan.lost_before:
            raise PowerCut("drop-out")
        self.hooks.gate(self.clock.now, kind, size_bytes)

    def _assigned(self, assignment: Assignment) -> None:
        self.round = assignment.round
        self._log("assigned")
        if self.plan.drop_out:
            raise PowerCut("drop-out")
        examples = len(self._rows)
        steps = local_round.step_count(self.context.task, examples)
        share = min(self.plan.crash_after_share, 1.0)
        self.busy_until = self.clock.now + max(int(steps * share), 0) * self._seconds_per_step()
        self.hooks.computing(self.busy_until)

    def _progress(self, progress: Event) -> None:
        if progress.kind != "step":
            return
        self.clock.elapse(self._seconds_per_step())
        self.trained_seconds += self._seconds_per_step()
        if progress.step > self.plan.crash_after_share * progress.steps:
            raise PowerCut("crash")
        self.hooks.between_steps()

    def _seconds_per_step(self) -> float:
        return self.plan.slowdown / self.device.steps_per_second

    def _log(self, event: str, code: str = "") -> None:
        over = event not in ("assigned", "enrol", "leave")
        self.events.append(
            DeviceEvent(
                t=round(self.clock.now, 6),
                device=self.device.index,
                event=event,
                round=self.round,
                code=code,
                seconds=round(self.trained_seconds, 6) if over else 0.0,
                bytes_down=self.network.bytes_down if over else 0,
                bytes_up=self.network.bytes_up if over else 0,
                sha256=self.network.update_sha256 if over else "",
            )
        )


def _jitter(seed: int, device: int) -> Iterator[int]:
    """Up to 1024 words of a device's stream; most wake-ups need none of them, few need more than the first."""
    stream = derive(_SECRET, seed, "jitter", device)
    first = words(stream, 16)
    yield from first.tolist()
    yield from words(stream, 1024)[len(first) :].tolist()
