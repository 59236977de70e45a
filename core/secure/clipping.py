"""The norm C to which devices clip their parameters follows what they have: about `clipped_share` of them are clipped.

With a C that nobody reaches the steps of a sum are too coarse, with one that everybody is above the model learns too
slowly. So each round's C is the last one's, moved by how many of the members of its sums were clipped:

    C' = C * (1 + clipped / members - clipped_share)        rounded up

and never leaves the task's `clip_norm` by more than a factor of 1024. It rises fast, as clipping costs most where it
hits many, and falls slowly. C counts and travels in whole millionths, which every language reads and writes alike.
It is part of what members sign (`statements.Work`), so that no device can be given one of its own.

    >>> tasks_own = Privacy("peers", clip_norm=2.0, clipped_share=0.1)
    >>> first(tasks_own), following(tasks_own, 2_000_000, clipped=0, members=16), norm(tasks_own, 1_800_000)
    (2000000, 1800000, 1.8)
"""

from fedrela.core.errors import IntegrityError
from fedrela.core.privacy import Privacy
from fedrela.core.protocol.limits import MOST_MILLIONTHS

MILLION = 1_000_000
FARTHEST = 1024  # times the task's own


def is_adaptive(privacy: Privacy) -> bool:
    """Whether C follows the devices; else it is the task's `clip_norm` in every round."""
    return privacy.secure == "peers" and privacy.clipped_share > 0


def first(privacy: Privacy) -> int:
    """C of a task's first round, in millionths; 0: the task's own, in every round."""
    return _millionths(privacy.clip_norm) if is_adaptive(privacy) else 0


def following(privacy: Privacy, clip_millionths: int, *, clipped: int, members: int) -> int:
    """C of the round after one with C = `clip_millionths`, in whose sums `clipped` of `members` were clipped."""
    if not is_adaptive(privacy):
        return 0
    whole = members * MILLION
    moved = -(-clip_millionths * (whole + clipped * MILLION - members * _millionths(privacy.clipped_share)) // whole)
    lowest, highest = _range(privacy)
    return min(max(moved, lowest), highest)


def norm(privacy: Privacy, clip_millionths: int) -> float:
    """C as a number. Raises IntegrityError for one that a round of this task can't have."""
    if not is_adaptive(privacy):
        if clip_millionths:
            raise _refused("has a clipping norm of its own, and the task says one for all rounds")
        return privacy.clip_norm
    lowest, highest = _range(privacy)
    if not lowest <= clip_millionths <= highest:
        raise _refused(f"clips to {clip_millionths} millionths, beyond {lowest} to {highest}")
    return clip_millionths / MILLION


def _range(privacy: Privacy) -> tuple[int, int]:
    """The lowest and the highest C, in millionths."""
    own = _millionths(privacy.clip_norm)
    return max(own // FARTHEST, 1), min(own * FARTHEST, MOST_MILLIONTHS)


def _millionths(value: float) -> int:
    """The nearest, halves up, and at least one."""
    return max(int(value * MILLION + 0.5), 1)


def _refused(problem: str) -> IntegrityError:
    return IntegrityError(f"the assignment {problem}", remedy="nothing was sent; ask the operator what happened")
