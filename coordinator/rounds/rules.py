"""The rules of a round, without IO: (round, event, now) -> round.

                      join, report, release
                            ┌───┐
                            │   ▼
    open ────────────► COLLECTING ──goal reached──────────────────► AGGREGATING ──commit──► COMMITTED
                        ▲   │  ▲ └──deadline, reported >= minimum──►     │ ▲                     │
              resume    │   │  │                                         └─┘ report (asynchronous: │
                        │   │  └─deadline, too few, retries left             counts in the next)  ▼
                        │   ▼    (attempt + 1; what was reported stays)                    the next round
                      FAILED or SKIPPED  ◄──deadline, too few, no retry left                      ▲
                                  └───────────────────────the same weights────────────────────────┘

    phase        event     condition                           next phase    effect
    -----------  --------  ----------------------------------  ------------  -----------------------------------------
    COLLECTING   join      a slot is free                      COLLECTING    open + 1; the first starts the deadline
    COLLECTING   report    reported + 1 < goal                 COLLECTING    open - 1, reported + 1
    COLLECTING   report    reported + 1 = goal                 AGGREGATING   open - 1, reported + 1
                           (asynchronous: and of at least smallest_cohort devices)
    COLLECTING   release   (failure, expired lease)            COLLECTING    open - 1
    COLLECTING   expire    deadline, reported is enough        AGGREGATING
    COLLECTING   expire    deadline, fewer, attempt <= retries COLLECTING    attempt + 1, a new deadline
    COLLECTING   expire    deadline, fewer, members masked     SKIPPED       opens the next round from the same weights
    COLLECTING   expire    deadline, fewer, no retry left      SKIPPED       the same
    COLLECTING   expire    the same, and it may not be skipped FAILED        the task is paused
    AGGREGATING  join      asynchronous, a slot is free        AGGREGATING   open + 1
    AGGREGATING  report    asynchronous                        AGGREGATING   open - 1, pending + 1
    AGGREGATING  release                                       AGGREGATING   open - 1
    AGGREGATING  commit                                        COMMITTED     opens the next round with what is pending
    AGGREGATING  drop      what remains is enough              AGGREGATING   reported - dropped
    AGGREGATING  drop      fewer                               as at a deadline, with what is pending
    AGGREGATING  skip      secure: no usable model comes of it SKIPPED       opens the next round from the same weights
    FAILED       release                                       FAILED        open - 1
    FAILED       resume                                        COLLECTING    attempt 1, a new deadline
    not over     abandon   the operator rolls the task back    ABANDONED     the next round begins from an old model

A round may be skipped unless it is the last, or the one after MAX_SKIPPED_IN_A_ROW others: going on would use up the
task's rounds for nothing. Every other pair raises Refused and changes nothing.

A *slot* is an assignment that is open or, in a synchronous round, reported; one that ends without a report gives its
slot back. *Enough* are `minimum` updates, of at least `smallest_cohort` devices. An update that was acknowledged is
dropped only where no finite model can be made with it, or by a rollback: a round that is tried again starts from the
same weights, so what was reported still counts.

In a secure round the updates of a group are reported together, with its sum, and a deadline waits for groups that are
at work. Who has masked an update isn't asked for this round's again, so a round with too few is skipped, not retried.

    >>> settings = Rounds(goal=2, smallest_cohort=2, deadline_seconds=60)
    >>> r = join(join(first(now=0.0), settings, now=5.0), settings, now=6.0)
    >>> (r.open, r.deadline_at, report(report(r, settings), settings).phase)
    (2, 65.0, 'aggregating')
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

from fedrela.core.errors import Refused
from fedrela.core.task import Rounds

Phase = Literal["collecting", "aggregating", "committed", "failed", "skipped", "abandoned"]
OVER: tuple[Phase, ...] = ("committed", "skipped", "abandoned")  # phases that a round never leaves
MAX_SKIPPED_IN_A_ROW = 3


@dataclass(frozen=True)
class Round:
    """One round of one task. Asynchronous: `open` counts the task's open assignments, whatever their start weights."""

    number: int
    phase: Phase
    opened_at: float
    attempt: int = 1
    open: int = 0
    reported: int = 0
    pending: int = 0  # asynchronous: accepted while this round was being aggregated; they count in the next
    deadline_at: float | None = None


def first(now: float) -> Round:
    """Round 1 of a new task."""
    return opened(1, now)


def opened(number: int, now: float) -> Round:
    """A round that nobody has joined yet."""
    return Round(number, "collecting", now)


def slots(settings: Rounds) -> int:
    """Synchronous: assignments handed out per round; asynchronous: assignments open at a time."""
    if settings.mode == "asynchronous":
        return settings.concurrency or 2 * settings.goal
    return math.ceil(settings.goal * settings.over_selection)


def free_slots(round_: Round, settings: Rounds) -> int:
    """How many more devices are wanted now."""
    if settings.mode == "asynchronous":
        joinable, taken = round_.phase in ("collecting", "aggregating"), round_.open
    else:
        joinable, taken = round_.phase == "collecting", round_.open + round_.reported
    return max(slots(settings) - taken, 0) if joinable else 0


def has_room(round_: Round, settings: Rounds) -> bool:
    """Whether one more device is wanted now."""
    return free_slots(round_, settings) > 0


def join(round_: Round, settings: Rounds, now: float) -> Round:
    """A device takes a slot."""
    if not has_room(round_, settings):
        raise _refused("the round wants no more devices", "check in again later", "round-full")
    starts = settings.mode == "synchronous" and round_.deadline_at is None
    deadline = now + settings.deadline_seconds if starts else round_.deadline_at
    return replace(round_, open=round_.open + 1, deadline_at=deadline)


def counts_in(round_: Round) -> int:
    """The round in which an update accepted now is aggregated."""
    return round_.number if round_.phase == "collecting" else round_.number + 1


def enough(reported: int, devices: int, settings: Rounds) -> bool:
    """Whether so many updates, of so many devices, make a new global model where no more come."""
    return reported >= settings.minimum and devices >= settings.smallest_cohort


def is_full(reported: int, devices: int, settings: Rounds) -> bool:
    """Whether a round waits for no more updates than these."""
    return reported >= settings.goal and devices >= settings.smallest_cohort


def report(round_: Round, settings: Rounds, *, devices: int | None = None) -> Round:
    """An update was accepted for an open assignment.

    `devices`: how many devices' updates the round has with it; None: of each device one, as in a synchronous round.
    """
    if round_.phase == "aggregating" and settings.mode == "asynchronous":
        return replace(release(round_), pending=round_.pending + 1)
    if round_.phase != "collecting":
        raise _refused("the round takes no more updates", "drop this update and check in again", "round-closed")
    collected = replace(release(round_), reported=round_.reported + 1)
    full = is_full(collected.reported, collected.reported if devices is None else devices, settings)
    return replace(collected, phase="aggregating") if full else collected


def release(round_: Round) -> Round:
    """An open assignment ends, with or without a report: its slot is free again."""
    if round_.open < 1 or round_.phase in OVER:
        raise _refused("no assignment of this round is open", "check in again", "round-closed")
    return replace(round_, open=round_.open - 1)


def report_group(round_: Round, settings: Rounds, members: int, smallest_group: int) -> Round:
    """The sum of so many members' updates is there. Where it is enough and no other group can come, all is there."""
    if round_.phase != "collecting" or round_.open < members:
        raise _refused("the round takes no more updates", "drop this group's sum", "round-closed")
    collected = replace(round_, open=round_.open - members, reported=round_.reported + members)
    done = is_full(collected.reported, collected.reported, settings)
    if slots(settings) - collected.reported < smallest_group:
        done |= enough(collected.reported, collected.reported, settings)
    return replace(collected, phase="aggregating") if done else collected


def expire(round_: Round, settings: Rounds, now: float, *, may_skip: bool = False, spent: bool = False) -> Round:
    """Time passed. Only a collecting round whose deadline is over changes. `spent`: members of it may have masked."""
    if round_.phase != "collecting" or round_.deadline_at is None or now < round_.deadline_at:
        return round_
    if enough(round_.reported, round_.reported, settings):
        return replace(round_, phase="aggregating")
    return skip(round_) if spent else _try_again(round_, settings, now, may_skip)


def drop(round_: Round, settings: Rounds, dropped: int, devices: int, now: float, *, may_skip: bool = False) -> Round:
    """So many updates are taken out of a round that is being aggregated; those that remain are of `devices` devices."""
    if round_.phase != "aggregating":
        raise _refused("the round is not being aggregated", "nothing: another worker has committed it", "round-closed")
    remaining = replace(round_, reported=round_.reported - dropped)
    if enough(remaining.reported, devices, settings):
        return remaining
    collecting = replace(remaining, phase="collecting", reported=remaining.reported + round_.pending, pending=0)
    return collecting if settings.mode == "asynchronous" else _try_again(collecting, settings, now, may_skip)


def skip(round_: Round) -> Round:
    """The round ends with the weights that it began with."""
    if round_.phase not in ("collecting", "aggregating"):
        raise _refused("the round is over", "nothing: another worker has ended it", "round-closed")
    return replace(round_, phase="skipped", open=0, reported=0, pending=0, deadline_at=None)


def abandon(round_: Round) -> Round:
    """The round ends without a result."""
    if round_.phase in OVER:
        raise _refused("the round is over", "roll the task back once", "round-closed")
    return replace(round_, phase="abandoned", open=0, reported=0, pending=0, deadline_at=None)


def _try_again(round_: Round, settings: Rounds, now: float, may_skip: bool) -> Round:
    if round_.attempt > settings.retries:
        return replace(round_, phase="skipped" if may_skip else "failed", deadline_at=None)
    return replace(round_, attempt=round_.attempt + 1, deadline_at=_deadline(round_, settings, now))


def resume(round_: Round, settings: Rounds, now: float) -> Round:
    """The operator resumes a paused task: a failed round starts again, a collecting one gets its whole time again."""
    if round_.phase not in ("collecting", "failed"):
        return round_
    return replace(round_, phase="collecting", attempt=1, deadline_at=_deadline(round_, settings, now))


def commit(round_: Round) -> Round:
    """The new global model is stored."""
    if round_.phase != "aggregating":
        raise _refused("the round is not being aggregated", "nothing: another worker has committed it", "round-closed")
    return replace(round_, phase="committed")


def following(round_: Round, settings: Rounds, now: float, *, devices: int | None = None) -> Round:
    """The round that a commit opens. Asynchronous: open assignments and pending updates move into it.

    `devices`: how many devices the pending updates are of; None: each is of another.
    """
    next_round = opened(round_.number + 1, now)
    if settings.mode == "synchronous":
        return next_round
    full = is_full(round_.pending, round_.pending if devices is None else devices, settings)
    return replace(next_round, open=round_.open, reported=round_.pending, phase="aggregating" if full else "collecting")


def staleness(counted_in: int, base_round: int) -> int:
    """How many rounds the global model has moved on since an update's start weights."""
    return counted_in - base_round


def _deadline(round_: Round, settings: Rounds, now: float) -> float | None:
    """Of a repeated attempt: from now on if somebody is at work or has reported, else from the first join."""
    if settings.mode == "asynchronous" or not (round_.open or round_.reported):
        return None
    return now + settings.deadline_seconds


def _refused(problem: str, remedy: str, code: str) -> Refused:
    return Refused(problem, remedy=remedy, code=code, status=409)
