"""What a device has learned since it enrolled and never unlearns: the coordinator's epoch, and the newest rounds.

Round numbers of a task never go back within an epoch. An assignment of an older round, or of the same round from other
weights, is an old one that somebody sends again, or a coordinator that was restored from a backup and doesn't say so.
"""

import hashlib
from dataclasses import dataclass, field, replace

from fedrela.core import strict
from fedrela.core.errors import IntegrityError, InvalidInput
from fedrela.core.protocol import statements
from fedrela.core.wire import Assignment
from fedrela.edge.storage.state import task_key
from fedrela.edge.storage.store import Store

KEY = "trust.json"
REMEDY = "somebody sends an old answer, or the coordinator was restored: its operator should begin a new epoch"
MOST_TASKS = 256  # whose rounds are remembered; those that came up longest ago are forgotten


@dataclass(frozen=True)
class NewestRound:
    """The newest round of a task that this device took part in, and the hash of what was asked for."""

    number: int
    work_sha256: str


@dataclass(frozen=True)
class Trust:
    """`epoch` 0: no assignment yet. `..._since`: when it changed, by the device's clock; 0: it never did."""

    epoch: int = 0
    epoch_since: float = 0.0
    key_since: float = 0.0
    rounds: dict[str, NewestRound] = field(default_factory=dict)  # by `task_key`


def load(store: Store) -> Trust:
    """What was kept. Raises InvalidInput for a damaged file: it protects the owner, so it isn't begun anew unasked."""
    body = store.get(KEY)
    return strict.from_json(Trust, body, InvalidInput) if body is not None else Trust()


def save(store: Store, trust: Trust) -> None:
    """Keep it."""
    store.put(KEY, strict.to_json(trust))


def admitted(trust: Trust, assignment: Assignment, now: float) -> Trust:
    """What is trusted once a verified assignment is accepted.

    Raises IntegrityError for a lower epoch or an older round than were seen before.
    """
    if assignment.epoch < trust.epoch:
        raise IntegrityError(
            f"the assignment is of the coordinator's epoch {assignment.epoch}, and epoch {trust.epoch} has begun",
            remedy=REMEDY,
        )
    if assignment.epoch > trust.epoch:
        since = now if trust.epoch else 0.0
        trust = replace(trust, epoch=assignment.epoch, epoch_since=since, rounds={})
    key, number = task_key(assignment.task_id), assignment.round
    work = hashlib.sha256("\n".join(statements.work(assignment)).encode()).hexdigest()
    newest = trust.rounds.get(key)
    if newest is not None and (number < newest.number or (number == newest.number and work != newest.work_sha256)):
        raise IntegrityError(
            f"the assignment is of round {number}, and round {newest.number} of this task has been here already",
            remedy=REMEDY,
        )
    others = {other: value for other, value in trust.rounds.items() if other != key}
    rounds = dict(list({**others, key: NewestRound(number, work)}.items())[-MOST_TASKS:])
    return replace(trust, rounds=rounds)
