"""Which updates are too large to be one honest device's, as far as the L2 norms of their parameters tell.

One update of 1e30 would fill a server optimizer's second moment for ever, and a model that it moved is lost. What is
usual is learned from the task's own accepted updates: their median, which fewer than half of them can't move. A hundred
times that is far: where classes are spread unevenly, most devices of an honest fleet have little left to learn, and the
norms of the others were up to 25 times the median in the demonstration. It is no defense against many devices that grow
together, nor against small poison: see `fedrela.core.aggregation.robust`.

Statistics are no part of the norm: next to a variance a hundred times larger than any weight, no weight would stand
out. They have a bound of their own that learns nothing, and needs to: they are means of what devices sent, without a
memory, so that the next round undoes what one update did to them.

    >>> largest_norm([1.0] * 100, parameters=4), largest_norm([], parameters=4)
    (100.0, 2000000.0)
    >>> with_accepted([1.0] * 100, [2.0])[-2:]
    (1.0, 2.0)
"""

import math
import statistics
from collections.abc import Sequence

REMEMBERED = 100  # norms of a task's newest accepted updates
ENOUGH = 20  # of them, to tell what is usual
TIMES_THE_USUAL = 100.0
# Of the means of groups in secure rounds, where nobody sees one update: means are alike, so less is far.
ENOUGH_GROUPS = 5
TIMES_THE_USUAL_GROUP = 3.0
# The root mean square of an update's elements: of its parameters until there are enough, of its statistics always.
# Running variances of unscaled inputs are this large in honest updates; weights never are.
LARGEST_FIRST_RMS = 1e6


def largest_norm(accepted: Sequence[float], parameters: int) -> float:
    """The largest L2 norm that an update of `parameters` elements may have, after the norms accepted so far."""
    usual = statistics.median(accepted) if len(accepted) >= ENOUGH else 0.0
    return TIMES_THE_USUAL * usual or largest_first_norm(parameters)  # updates of zeros say nothing


def largest_group_norm(accepted: Sequence[float]) -> float:
    """The largest L2 norm that a group's mean update may have, after those accepted so far.

    Infinite at first: from the first group on, `fixed_point.decode` bounds a mean by the norm that devices clip to.
    """
    usual = statistics.median(accepted) if len(accepted) >= ENOUGH_GROUPS else 0.0
    return TIMES_THE_USUAL_GROUP * usual or math.inf


def largest_first_norm(elements: int) -> float:
    """The largest L2 norm that so many elements of an update may have where nothing is known of others."""
    return LARGEST_FIRST_RMS * math.sqrt(elements)


def with_accepted(accepted: Sequence[float], norms: Sequence[float]) -> tuple[float, ...]:
    """The norms to remember after `norms` were accepted, in their order."""
    return (*accepted, *norms)[-REMEMBERED:]


def largest_updates(norms: Sequence[float]) -> list[int]:
    """Which of a round's updates to leave out where their aggregate overflows: the outliers, or at least the largest.

    `norms` are not empty; one that is not a number counts as the largest.
    """
    sizes = [norm if math.isfinite(norm) else math.inf for norm in norms]
    largest = TIMES_THE_USUAL * statistics.median(sizes)
    outliers = [index for index, size in enumerate(sizes) if size > largest]
    return outliers or [max(range(len(sizes)), key=sizes.__getitem__)]
