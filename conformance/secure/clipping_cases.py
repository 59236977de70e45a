"""Vectors for the clipping norm of a round: what a device takes (null: refuses), and what comes after a round.

>>> document = build()
>>> [case["norm"] for case in document["norms"]][:2], document["following"][0]["then"]
([64.0, 57.6], 57600000)
"""

from typing import Any

from fedrela.core.errors import IntegrityError
from fedrela.core.privacy import Privacy
from fedrela.core.secure import clipping

USUAL = Privacy("peers", clip_norm=64.0, clipped_share=0.1)
SMALL = Privacy("peers", clip_norm=1e-6, clipped_share=0.25)
ODD = Privacy("peers", clip_norm=0.0123456789, clipped_share=1 / 3)
LARGE = Privacy("peers", clip_norm=1_000_000.0, clipped_share=0.1)
FIXED = Privacy("peers", clip_norm=2.5)
PLAIN = Privacy("none", clipped_share=0.1)

NORMS: tuple[tuple[str, Privacy, int], ...] = (
    ("the first round's", USUAL, 64_000_000),
    ("a later one's", USUAL, 57_600_000),
    ("the lowest", USUAL, 62_500),
    ("below the lowest", USUAL, 62_499),
    ("the highest", USUAL, 65_536_000_000),
    ("above the highest", USUAL, 65_536_000_001),
    ("none, and the norm is adaptive", USUAL, 0),
    ("the lowest of all", SMALL, 1),
    ("the highest of all", LARGE, 10**12),
    ("of a task whose own lies between two millionths", ODD, 12_346),
    ("none, and the task has one norm", FIXED, 0),
    ("one, and the task has one norm", FIXED, 2_500_000),
    ("none of a plain task", PLAIN, 0),
    ("one of a plain task", PLAIN, 64_000_000),
)
FOLLOWING: tuple[tuple[str, Privacy, int, int, int], ...] = (
    ("nobody was clipped", USUAL, 64_000_000, 0, 16),
    ("as many as wanted", USUAL, 12_345_678, 2, 20),
    ("everybody was clipped", USUAL, 12_345_678, 16, 16),
    ("rounded up", USUAL, 100_001, 1, 7),
    ("not below the lowest", USUAL, 65_000, 0, 16),
    ("not above the highest", USUAL, 65_000_000_000, 62, 62),
    ("the smallest one grows", SMALL, 1, 5, 5),
    ("one norm for all rounds", FIXED, 0, 3, 16),
)


def build() -> dict[str, Any]:
    """The document secure/clipping.json."""
    return {
        "norms": [
            {"name": name, **_shown(privacy), "clip_millionths": clip, "norm": _norm(privacy, clip)}
            for name, privacy, clip in NORMS
        ],
        "following": [
            {
                "name": name,
                **_shown(privacy),
                "clip_millionths": clip,
                "clipped": clipped,
                "members": members,
                "then": clipping.following(privacy, clip, clipped=clipped, members=members),
            }
            for name, privacy, clip, clipped, members in FOLLOWING
        ],
    }


def _shown(privacy: Privacy) -> dict[str, Any]:
    return {"privacy": {name: getattr(privacy, name) for name in ("secure", "clip_norm", "clipped_share")}}


def _norm(privacy: Privacy, clip_millionths: int) -> float | None:
    try:
        return clipping.norm(privacy, clip_millionths)
    except IntegrityError:
        return None
