"""Why a task doesn't move: one sentence for its operator, always.

Of devices only counts are told: how many are enrolled, at work, done, and why assignments failed.
"""

from collections import Counter
from dataclasses import dataclass

import sqlalchemy as sa

from fedrela.coordinator.rounds import rules
from fedrela.coordinator.rounds.rules import Round
from fedrela.coordinator.storage import schema, secure_rows
from fedrela.core.task import Task

_A, _D = schema.assignments, schema.devices


@dataclass(frozen=True)
class Attendance:
    """The devices of a task's population, and what they did in its open round."""

    enrolled: int  # and not set aside; counted up to what a round can use
    failures: dict[str, int]  # assignments of this round that failed, by code


def attendance(view: sa.Connection, task_id: str, task: Task, number: int) -> Attendance:
    """How many devices are enrolled for a task, and how its open round went for them."""
    enough = max(task.round.goal, task.round.smallest_cohort)
    members = sa.select(_D.c.id).where(_D.c.population == task.population, _D.c.revoked_at.is_(None))
    wanted = members.where(_D.c.id != schema.FORGOTTEN, _D.c.id.not_in(secure_rows.set_aside(view, task_id)))
    counted = wanted.limit(enough).subquery()
    enrolled = sa.select(sa.func.count()).select_from(counted)
    failed = sa.select(_A.c.failure).where(
        _A.c.task_id == task_id, _A.c.round == number, _A.c.status.in_(("failed", "expired"))
    )
    codes = Counter(str(code) for code in view.scalars(failed.order_by(_A.c.failure)))
    return Attendance(int(view.scalar(enrolled) or 0), dict(codes))


def waits_for(status: str, problem: str, round_: Round, task: Task, there: Attendance) -> str:
    """What has to happen before a task under way moves on.

    >>> from fedrela.core.task import Rounds
    >>> task = Task("t", 20, round=Rounds(goal=12))
    >>> waits_for("running", "", Round(1, "collecting", 0.0), task, Attendance(0, {}))
    "no device is enrolled for population 'default': fedrela token create"
    >>> waits_for("running", "", Round(1, "collecting", 0.0, open=1, reported=11), task, Attendance(30, {}))
    '1 more update; at work: 1'
    >>> waits_for("running", "", Round(1, "collecting", 0.0, open=1), task, Attendance(1, {}))
    '12 more updates; at work: 1. The round needs 5 devices, and only 1 is enrolled: enroll more, or lower round.goal'
    """
    if status != "running":
        return f"`fedrela task resume`: {problem}"
    if round_.phase == "aggregating":
        return f"the aggregation of round {round_.number}" + (f": {problem}" if problem else "")
    if not there.enrolled:
        return f"no device is enrolled for population {task.population!r}: fedrela token create"
    missing = max(task.round.goal - round_.reported, 0)
    parts = [f"{missing} more update{'' if missing == 1 else 's'}; at work: {round_.open}"]
    if there.failures:
        counts = ", ".join(f"{code} {count}" for code, count in there.failures.items())
        parts.append(f"Failed in this round: {counts}; `fedrela device run` says why on the device")
    parts += _too_few(round_, task, there) or _who_could(round_, task)
    return ". ".join(parts)


def _too_few(round_: Round, task: Task, there: Attendance) -> list[str]:
    """What is said where the fleet is smaller than a round asks for."""
    settings = task.round
    hidden = task.privacy.secure == "peers"
    least = max(settings.minimum, settings.smallest_cohort, task.privacy.group_minimum if hidden else 0)
    enrolled = "1 is" if there.enrolled == 1 else f"{there.enrolled} are"
    if there.enrolled < least:
        remedy = f"enroll more, or lower {'privacy.group_minimum' if hidden else 'round.goal'}"
        return [f"The round needs {least} devices, and only {enrolled} enrolled: {remedy}"]
    if settings.mode == "synchronous" and there.enrolled < settings.goal:
        when = f"closes at its deadline with at least {least}"
        return [f"The goal is {settings.goal}, and only {enrolled} enrolled: the round {when}"]
    return []


def _who_could(round_: Round, task: Task) -> list[str]:
    """What is said where enough devices are enrolled."""
    if round_.open or not rules.has_room(round_, task.round):
        return []
    free = rules.free_slots(round_, task.round)
    places = "1 place is" if free == 1 else f"{free} places are"
    return [f"{places} free, and no device is at work now; if that lasts, see whether they run"]
