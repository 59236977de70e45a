"""Every pattern of losses over the four phases: what leaves the threshold sums up as plain rounds do; less doesn't."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from fedrela.conformance.secure import sessions
from fedrela.conformance.secure.sessions import PHASES, Session
from fedrela.core.aggregation import aggregate
from fedrela.core.errors import IntegrityError
from fedrela.core.secure import fixed_point, statements, unmasking
from fedrela.core.secure.fixed_point import Block, Extras, Layout

pytestmark = pytest.mark.usefixtures("remembered")
ELEMENTS, CLIP_NORM = 4, 8.0


class Fleet:
    """Members with an update each: as numbers that plain rounds take, and as vectors."""

    def __init__(self, members: int) -> None:
        rng = np.random.default_rng(members)
        self.members = members
        self.layout = Layout((Block(ELEMENTS, CLIP_NORM),), classes=0, largest_group=members)
        self.updates = rng.normal(0, 1, (members, ELEMENTS)).astype(np.float32)
        uniforms = rng.random((members, ELEMENTS), np.float32)
        self.vectors = np.array(
            [
                fixed_point.encode(self.layout, [own], Extras(1.0), uniform)
                for own, uniform in zip(self.updates, uniforms, strict=True)
            ]
        )

    @property
    def bears(self) -> int:
        """How many losses a group bears."""
        return self.members - statements.threshold(self.members)

    def check(self, session: Session, lost: int) -> None:
        """The sum of the survivors is that of plain aggregation, or there is none, as so many were lost."""
        if lost > self.bears:
            assert session.group.phase == "failed"
            assert {session.step(index).step for index in session.members} <= {"again", "closed"}
            if session.group.survivors:
                with pytest.raises(IntegrityError, match="can't be rebuilt"):
                    unmasking.open_secrets(session.group)
            return
        chosen = [index - 1 for index in session.group.survivors]
        words = session.total()
        assert words.tolist() == self.vectors[chosen].sum(0).tolist()
        total = fixed_point.decode(self.layout, words, members=len(chosen))
        clipped = [own * np.float32(fixed_point.clip_factor(self.layout.blocks[0], own)) for own in self.updates]
        plain = aggregate.mean([({"w": clipped[one]}, 1.0) for one in chosen], zero={"w": self.updates[0]})["w"]
        step = self.layout.step(CLIP_NORM)
        assert total.extras.weight == len(chosen)
        assert np.abs(total.blocks[0] / total.extras.weight - plain).max() <= step + 2.0**-22 * np.abs(plain).max()


SENT = dict(zip(PHASES, ("shares", "proofs", "agreements", "reveals"), strict=True))  # the group's, of each phase


def acted(fleet: Fleet, session: Session, present: tuple[int, ...]) -> Session:
    """The session after all who are present did their part of its phase, and before that is over."""
    here = replace(session, members=dict(session.members), words=dict(session.words))
    for index in present:
        if session.group.phase == "sharing":
            here.share(index)
        elif session.group.phase == "masking":
            here.mask(index, fleet.vectors[index - 1])
        elif session.group.phase == "agreeing":
            here.agree(index)
        else:
            here.reveal(index)
    return here


def without(session: Session, gone: tuple[int, ...]) -> Session:
    """The same, had some not sent what is theirs in this phase: what the others send doesn't depend on it."""
    name = SENT[session.group.phase]
    sent: Any = {index: message for index, message in getattr(session.group, name).items() if index not in gone}
    words = {index: own for index, own in session.words.items() if name != "proofs" or index not in gone}
    return replace(session, members=dict(session.members), group=replace(session.group, **{name: sent}), words=words)


def outcomes(fleet: Fleet, session: Session, present: tuple[int, ...], lost: int = 0) -> Iterator[tuple[int, Session]]:
    """Every way in which up to one more than a group bears vanish, from the session's phase on: how many, and its end.

    What went before is shared by all that comes of it.
    """
    if session.group.phase not in PHASES:
        yield lost, session
        return
    whole = acted(fleet, session, present)
    for count in range(fleet.bears + 1 - lost + 1):
        for gone in combinations(present, count):
            here = without(whole, gone)
            here.close()
            yield from outcomes(fleet, here, tuple(one for one in present if one not in gone), lost + count)


@pytest.mark.parametrize(
    "members", [5, 6, 7, *(pytest.param(members, marks=pytest.mark.deep) for members in (8, 9, 10))]
)
def test_every_pattern_that_leaves_the_threshold_sums_up_and_no_other_does(members: int) -> None:
    fleet = Fleet(members)
    borne = refused = 0
    for lost, session in outcomes(fleet, sessions.begin(members), tuple(range(1, members + 1))):
        fleet.check(session, lost)
        borne, refused = borne + (lost <= fleet.bears), refused + (lost > fleet.bears)
    assert borne == sum(4**count * len(list(combinations(range(members), count))) for count in range(fleet.bears + 1))
    assert refused > borne


@pytest.mark.parametrize(
    ("members", "seed"),
    [(11, 0), *(pytest.param(11 + 4 * seed % 54, seed, marks=pytest.mark.deep) for seed in range(1, 28)),
     pytest.param(64, 28, marks=pytest.mark.deep)],
)  # fmt: skip
def test_random_patterns_of_larger_groups(members: int, seed: int) -> None:
    fleet, rng = Fleet(members), np.random.default_rng(seed)
    for more in (0, 1):
        count = int(rng.integers(0, fleet.bears + 1)) if more == 0 else fleet.bears + 1
        gone = rng.permutation(members)[:count] + 1
        lost = {int(index): str(rng.choice(PHASES)) for index in gone}
        fleet.check(sessions.until(sessions.begin(members), "summing", fleet.vectors, lost), count)
