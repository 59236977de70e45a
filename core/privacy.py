"""What a task keeps from its own coordinator: `[privacy]` in its file.

none    the coordinator reads each device's update, and with it which classes that device has
peers   it reads the sum of a group of devices and nothing else of a member: see `fedrela.core.secure`

A file, a form or a request that says nothing asks for "peers", where its rounds are synchronous (`completed`). The
defaults of `Privacy` itself are the protocol's, which say what a stored task means.

>>> Privacy("peers").groups.largest
31
>>> completed({"name": "digits"})["privacy"], completed({"round": {"mode": "asynchronous"}}).get("privacy")
({'secure': 'peers', 'clipped_share': 0.1}, None)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fedrela.core import strict
from fedrela.core.errors import InvalidTask
from fedrela.core.protocol.limits import Between
from fedrela.core.secure import formation, statements
from fedrela.core.secure.messages import LARGEST_GROUP, SMALLEST_GROUP

Secure = Literal["none", "peers"]
SECURE_FEATURE = "secure-1"  # what a client must understand to take part in a secure task
WHERE_MISSING: Secure = "peers"  # what a synchronous task means that says nothing of it and is published now
CLIPPED_SHARE = 0.1  # what a secure task means that says nothing of it and is published now

GroupSize = Annotated[int, Between(SMALLEST_GROUP, LARGEST_GROUP)]
Seconds = Annotated[float, Between(0, 86_400)]
ClipNorm = Annotated[float, Between(0, 1_000_000, above=True)]
ClippedShare = Annotated[float, Between(0, 1, below=True)]


@dataclass(frozen=True)
class Privacy:
    """Who may read what, and how groups of devices work where only their sums are read."""

    secure: Secure = "none"
    group_target: GroupSize = 16
    group_minimum: GroupSize = 14  # a device refuses a smaller group; fewer than a third of it may be lost
    gather_seconds: Seconds = 30.0  # the first one waits so long for a whole group
    phase_seconds: Seconds = 20.0  # a member has so long for each of its messages; for its update, the upload lease
    clip_norm: ClipNorm = 64.0  # a device clips its update's parameters to this L2 norm, at first
    clipped_share: ClippedShare = 0.0  # and then to one that about this share of devices is above; 0: always to this
    statistics_clip_norm: ClipNorm = 1024.0  # and its statistics, such as BatchNorm's, to this one

    def __post_init__(self) -> None:
        strict.check(self, InvalidTask, "privacy")
        if self.group_minimum > self.group_target:
            raise InvalidTask(
                f"privacy.group_minimum is {self.group_minimum} and privacy.group_target {self.group_target}",
                remedy="choose group_minimum <= group_target",
            )

    @property
    def words(self) -> str:
        """For an operator: what the coordinator can read, and what owners are told."""
        if self.secure == "none":
            return (
                "plain: the coordinator can read from each update which classes its device has, and owners are told so"
            )
        least = statements.threshold(self.group_minimum)
        return (
            f"secure: the coordinator reads sums over groups of at least {self.group_minimum} devices, of which "
            f"{least} or more are left at the end, and no update"
        )

    @property
    def groups(self) -> formation.Rule:
        """How large groups are, and how long they gather."""
        return formation.Rule(self.group_target, self.group_minimum, self.gather_seconds)


def completed(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a task that somebody publishes now, with what it means where they say nothing.

    Stored tasks and recorded runs mean what they meant: they are never completed.
    """
    tables = [values.get(name, {}) for name in ("privacy", "aggregation", "round")]
    if not all(isinstance(table, Mapping) for table in tables):
        return dict(values)  # a fault that the reader names
    privacy, aggregation, rounds = (dict(table) for table in tables)
    if rounds.get("mode", "synchronous") == "synchronous":
        privacy.setdefault("secure", WHERE_MISSING)
    if privacy.get("secure") == "peers":
        privacy.setdefault("clipped_share", CLIPPED_SHARE)
        aggregation.setdefault("weight_by_examples", False)  # what is constant on a device may enter a sum only once
        if type(target := privacy.get("group_target", Privacy.group_target)) is int:
            rounds.setdefault("goal", target)  # one whole group: the protocol's own default is less than one
    whole = {"privacy": privacy, "aggregation": aggregation, "round": rounds}
    return {**values, **{name: table for name, table in whole.items() if table}}
