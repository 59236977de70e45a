"""Who goes into which group: pure functions of who waits, how long, and a stream of randomness.

>>> rule = Rule(target=16, minimum=14)
>>> sizes(13, rule, closing=True), sizes(15, rule, closing=False), sizes(15, rule, closing=True)
((), (), (15,))
>>> sizes(16, rule, closing=False), sizes(50, rule, closing=False)
((16,), (17, 17, 16))
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Annotated, TypeVar

from fedrela.core import streams, strict
from fedrela.core.errors import InvalidTask
from fedrela.core.protocol.limits import Between
from fedrela.core.secure.messages import LARGEST_GROUP, SMALLEST_GROUP
from fedrela.core.streams import Stream

T = TypeVar("T")


@dataclass(frozen=True)
class Rule:
    """How large groups are, in members, and how long the first one in a waiting room waits at most, in seconds."""

    target: Annotated[int, Between(SMALLEST_GROUP, LARGEST_GROUP)] = 16
    minimum: Annotated[int, Between(SMALLEST_GROUP, LARGEST_GROUP)] = 14
    gather_seconds: Annotated[float, Between(0, 86_400)] = 30.0

    def __post_init__(self) -> None:
        strict.check(self, InvalidTask, "group")
        if self.minimum > self.target:
            raise InvalidTask(
                f"group.minimum is {self.minimum} and group.target {self.target}", remedy="choose minimum <= target"
            )

    @property
    def largest(self) -> int:
        """Members that a group may have: what `fixed_point.Layout` must leave room for."""
        return min(2 * self.target - 1, LARGEST_GROUP)


def is_closing(rule: Rule, *, waited_seconds: float, others_at_work: int) -> bool:
    """Whether a waiting room is closed below `target`: the first one waited long enough, or nobody else can come."""
    return waited_seconds >= rule.gather_seconds or others_at_work == 0


def sizes(waiting: int, rule: Rule, *, closing: bool) -> tuple[int, ...]:
    """The sizes of the groups that the waiting devices form now, which differ by one at most; the rest waits on."""
    if waiting < (rule.minimum if closing else rule.target):
        return ()
    count = max(waiting // rule.target, 1)
    placed = min(waiting, count * rule.largest)
    return tuple(placed // count + (group < placed % count) for group in range(count))


def form(waiting: Sequence[T], group_sizes: Sequence[int], stream: Stream) -> tuple[tuple[T, ...], ...]:
    """The groups of those who have waited longest; `waiting` is in the order of arrival.

    Who is with whom is drawn, so that nobody chooses its neighbors by when it comes.
    """
    placed = sum(group_sizes)
    order = [waiting[at] for at in streams.permutation(stream, placed)]
    bounds = accumulate(group_sizes, initial=0)
    return tuple(tuple(order[start:end]) for start, end in pairwise(bounds))
