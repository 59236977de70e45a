"""Who is wanted: pure checks of a device against a task, and the time after which it should come back.

What a device itself must decide (battery, network, examples) is not here.
"""

import hashlib
import math
from dataclasses import dataclass

from fedrela.coordinator.rounds import rules
from fedrela.coordinator.rounds.rules import Round
from fedrela.core import versions
from fedrela.core.bundle import PROGRAMS, Manifest
from fedrela.core.task import Rounds, Task
from fedrela.core.wire import WaitReason

Reason = WaitReason
REST_SECONDS = 60.0  # after a failed assignment, within one attempt of a round
JITTER = 0.5  # a waiting time is between 1 and 1 + JITTER times its base


@dataclass(frozen=True)
class Participation:
    """What one device did in a round. An assignment that is open, or whose lease ran out, counts for nothing."""

    reported: bool = False
    failed_at: float | None = None  # its newest failure
    set_aside: bool = False  # by the task, in this and every other round of it


NONE_YET = Participation()


@dataclass(frozen=True)
class Candidate:
    """What is known of a device that checks in."""

    public_key: str  # what its lots are drawn from: stable where its name is random, so a repeated run is the same run
    client: str  # name and version
    runtimes: tuple[str, ...]
    features: tuple[str, ...]
    last_assignment_at: float | None
    participation: Participation = NONE_YET  # in this round


def until_rested(participation: Participation, round_: Round, settings: Rounds) -> float | None:
    """When a device whose assignment failed may have another of this round; None: now.

    A failure may be over: a picture was mended, a disk has room again. So it counts for a while, and never in the
    next attempt, since a small fleet needs each of its devices.
    """
    if participation.failed_at is None:
        return None
    if settings.mode == "synchronous" and (
        round_.deadline_at is None or participation.failed_at < round_.deadline_at - settings.deadline_seconds
    ):
        return None  # of an earlier attempt
    return participation.failed_at + REST_SECONDS


def refusal(task: Task, manifest: Manifest, candidate: Candidate, round_: Round, now: float) -> Reason | None:
    """Why the task doesn't want this device now; None if it does."""
    if not _fits_version(task, candidate.client) or not {*task.requires, *manifest.requires} <= {*candidate.features}:
        return "version"
    if not any(_runs(manifest, runtime) for runtime in candidate.runtimes):
        return "runtime"
    return _not_now(task, candidate, round_, now)


def _not_now(task: Task, candidate: Candidate, round_: Round, now: float) -> Reason | None:
    """Why a device that could do the work is not given any at this time."""
    fraction = task.eligibility.device_fraction
    if fraction < 1 and share(candidate.public_key, task.name, round_.number, round_.attempt) >= fraction:
        return "not-selected"
    separation = task.eligibility.min_separation_seconds
    if candidate.last_assignment_at is not None and now < candidate.last_assignment_at + separation:
        return "too-soon"
    if candidate.participation.set_aside:
        return "set-aside"
    if candidate.participation.reported:
        return "reported"
    rests_until = until_rested(candidate.participation, round_, task.round)
    if rests_until is not None and now < rests_until:
        return "too-soon"
    return None if rules.has_room(round_, task.round) else "round-full"


def share(*labels: str | int) -> float:
    """A number in [0, 1), the same for the same labels: SHA-256 of the labels, its first 53 bits."""
    digest = hashlib.sha256("\n".join(map(str, labels)).encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def retry_after_seconds(
    reason: Reason, task: Task | None, candidate: Candidate, now: float, idle_seconds: float
) -> float:
    """When a device that is not wanted should come back, jitter included."""
    base = idle_seconds
    if task is not None and reason in ("round-full", "reported", "not-selected"):
        base = task.round.retry_after_seconds
    if task is not None and reason == "too-soon" and candidate.last_assignment_at is not None:
        failed_at = candidate.participation.failed_at
        rested = -math.inf if failed_at is None else failed_at + REST_SECONDS
        wanted_at = max(candidate.last_assignment_at + task.eligibility.min_separation_seconds, rested)
        base = max(wanted_at - now, 0.001)
    return round(base * (1 + JITTER * share(candidate.public_key, repr(now))), 3)


def _fits_version(task: Task, client: str) -> bool:
    name, _, version = client.partition(" ")
    low, high = (
        limits.get(name, limits.get("any"))
        for limits in (task.eligibility.min_client_versions, task.eligibility.max_client_versions)
    )
    mine = versions.parse(version)
    return (low is None or versions.parse(low) <= mine) and (high is None or mine <= versions.parse(high))


def _runs(manifest: Manifest, runtime: str) -> bool:
    """Whether "name version" can run all three programs."""
    name, _, installed = runtime.partition(" ")
    files = [getattr(manifest, program).file(name) for program in PROGRAMS]
    have = versions.parse(installed)
    return all(file is not None and versions.parse(file.min_runtime_version or "0") <= have for file in files)
