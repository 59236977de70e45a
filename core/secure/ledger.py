"""What a device has masked for: once for a round, twice at most from one checkpoint.

A coordinator could say that a round was skipped, keep what it was sent, and ask again with a group that differs by one
member: the difference of the two sums would be about that member's update. Two it gets this way, and more only from
weights that differ at least in a bit, which no device can tell from a round's progress: `docs/privacy.md` says so.

    >>> ledger = enter(Ledger(), "t-1", 3, "ab" * 32)
    >>> enter(ledger, "t-1", 3, "cd" * 32)
    Traceback (most recent call last):
    ...
    fedrela.core.errors.IntegrityError: this device has masked for round 3 of the task already; ...
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fedrela.core.errors import IntegrityError

MOST_FROM_ONE_CHECKPOINT = 2
MOST_REMEMBERED = 4096  # tasks and checkpoints; those that came up longest ago are forgotten

_REMEDY = "nothing is sent; a round that begins from other weights is open to this device"


@dataclass(frozen=True)
class Ledger:
    """By task the highest round masked for; by the checkpoint's SHA-256 how often an update from it was masked."""

    rounds: dict[str, int] = field(default_factory=dict)
    checkpoints: dict[str, int] = field(default_factory=dict)


def enter(ledger: Ledger, task_id: str, round_number: int, checkpoint_sha256: str) -> Ledger:
    """The ledger with one more upload, to be stored before it is sent. Raises IntegrityError for one too many."""
    if round_number <= ledger.rounds.get(task_id, 0):
        raise IntegrityError(f"this device has masked for round {round_number} of the task already", remedy=_REMEDY)
    times = ledger.checkpoints.get(checkpoint_sha256, 0) + 1
    if times > MOST_FROM_ONE_CHECKPOINT:
        raise IntegrityError("this device has masked two updates from these weights already", remedy=_REMEDY)
    return Ledger(
        _with(ledger.rounds, task_id, round_number),
        _with(ledger.checkpoints, checkpoint_sha256, times),
    )


def _with(known: Mapping[str, int], key: str, value: int) -> dict[str, int]:
    """The same, with one entry that is the newest now."""
    others = {other: number for other, number in known.items() if other != key}
    return dict(list({**others, key: value}.items())[-MOST_REMEMBERED:])
