"""The sum is exact for every drop-out pattern that leaves the threshold; liars are named, and too few are refused."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from fedrela.conformance.secure import sessions
from fedrela.core.errors import IntegrityError
from fedrela.core.secure import pads, statements, unmasking
from fedrela.core.secure.group import Group
from fedrela.core.secure.messages import Roster
from fedrela.core.secure.unmasking import Opened

pytestmark = pytest.mark.usefixtures("remembered")


def expected(vectors, session):
    return vectors[[index - 1 for index in session.group.survivors]].sum(0).tolist()


def patterns(members):
    """Every (survivors, vanished after sharing) that leaves the threshold; the rest never shared."""
    everybody = range(1, members + 1)
    for count in range(statements.threshold(members), members + 1):
        for survivors in combinations(everybody, count):
            rest = [index for index in everybody if index not in survivors]
            for size in range(len(rest) + 1):
                yield from ((survivors, vanished) for vanished in combinations(rest, size))


class Padded:
    """A group whose members mask, without the messages around it."""

    def __init__(self, members):
        session = sessions.begin(members)
        self.vectors = sessions.vectors_of(members)
        self.secrets = {index: sessions.secrets_of(index) for index in session.members}
        self.roster, self.session = session.group.roster, session.group.session

    def masked(self, index, senders):
        return pads.mask(
            self.vectors[index - 1],
            own_seed=self.secrets[index].own_seed,
            mask_key=self.secrets[index].mask_key,
            index=index,
            others=self.roster.mask_keys([other for other in senders if other != index]),
            session=bytes.fromhex(self.session),
        )

    def check(self, survivors, vanished):
        bodies = [self.masked(index, (*survivors, *vanished)) for index in survivors]
        group = Group(self.roster, self.session, "summing", proofs=dict.fromkeys(survivors))
        own_seeds = {index: self.secrets[index].own_seed for index in survivors}
        opened = Opened(own_seeds, {index: self.secrets[index].mask_key for index in vanished})
        total = unmasking.unmask(bodies, group, opened)
        assert total.tolist() == self.vectors[[index - 1 for index in survivors]].sum(0).tolist()


@pytest.mark.parametrize("members", range(5, 11))
def test_pads_come_off_for_every_pattern_of_who_shared_and_who_survived(members):
    padded = Padded(members)
    for survivors, vanished in patterns(members):
        padded.check(survivors, vanished)


def test_pads_come_off_for_random_patterns_of_the_largest_group():
    padded, rng = Padded(64), np.random.default_rng(64)
    for _ in range(3):
        order = (rng.permutation(64) + 1).tolist()
        survivors = int(rng.integers(statements.threshold(64), 65))
        senders = int(rng.integers(survivors, 65))
        padded.check(sorted(order[:survivors]), order[survivors:senders])


@pytest.mark.parametrize("seed", range(12))
def test_whole_sessions_with_losses_in_every_phase_sum_up_or_fail(seed):
    rng = np.random.default_rng(seed)
    members = int(rng.integers(5, 13))
    most = members - statements.threshold(members) + 1  # one more than a group bears
    lost = {
        int(index): str(rng.choice(sessions.PHASES))
        for index in rng.permutation(members)[: rng.integers(0, most + 1)] + 1
    }
    session, vectors = sessions.begin(members), sessions.vectors_of(members)
    sessions.until(session, "summing", vectors, lost)
    if len(lost) < most:
        assert session.total().tolist() == expected(vectors, session)
    else:
        assert session.group.phase == "failed"


def test_a_large_group_with_as_many_losses_as_it_bears_in_every_phase():
    lost = {index: sessions.PHASES[index % 4] for index in range(3, 25, 3)}
    session, vectors = sessions.begin(25), sessions.vectors_of(25)
    sessions.until(session, "summing", vectors, lost)
    assert len(lost) == 25 - session.group.roster.threshold
    assert session.total().tolist() == expected(vectors, session)


def revealed(members, liars, lost=None):
    """A session in which liars change a bit of every share."""
    session, vectors = sessions.begin(members), sessions.vectors_of(members)
    sessions.until(session, "revealing", vectors, lost or {})
    for index in session.group.survivors:
        session.reveal(index, sessions.wrong if index in liars else lambda reveal: reveal)
    return session, vectors


@pytest.mark.parametrize("liars", [{1}, {3}, {7}, {1, 2}, {2, 6}])
def test_liars_are_named_and_the_sum_is_right(liars):
    session, vectors = revealed(7, liars)
    assert session.total().tolist() == expected(vectors, session)
    opened = unmasking.open_secrets(session.group)
    assert opened.disagreements == {(member, liar) for member in range(1, 8) for liar in liars}


def test_a_liar_about_a_lost_member_s_key_is_named():
    session, vectors = revealed(7, {2}, {7: "masking"})
    assert session.total().tolist() == expected(vectors, session)
    assert (7, 2) in unmasking.open_secrets(session.group).disagreements


def test_too_few_true_answers_open_nothing():
    session, _ = revealed(7, {1, 2, 3})
    with pytest.raises(IntegrityError, match="secret of member 1 can't be rebuilt from 7 answers"):
        session.total()


def test_below_the_threshold_nothing_is_tried():
    session, _ = revealed(7, set())
    few = {index: session.group.reveals[index] for index in (1, 2, 3, 4)}
    with pytest.raises(IntegrityError, match="from 4 answers"):
        unmasking.open_secrets(replace(session.group, reveals=few))


def test_a_commitment_to_another_seed_names_who_made_it():
    session, _ = revealed(7, set())
    shares = {**session.group.shares, 4: replace(session.group.shares[4], commitment="00" * 32)}
    with pytest.raises(IntegrityError, match="secret of member 4"):
        unmasking.open_secrets(replace(session.group, shares=shares))


def test_bodies_may_be_added_in_any_order():
    session, vectors = revealed(6, set())
    opened = unmasking.open_secrets(session.group)
    backwards = [session.words[index] for index in sorted(session.words, reverse=True)]
    before = [words.copy() for words in backwards]
    assert unmasking.unmask(backwards, session.group, opened).tolist() == vectors.sum(0).tolist()
    assert all(np.array_equal(one, two) for one, two in zip(backwards, before, strict=True))


def test_the_choices_of_answers_are_the_same_each_time():
    roster = Roster(5, sessions.begin(7).group.roster.members)
    one, two = (list(unmasking._subsets((1, 2, 3, 4, 5, 6, 7), roster.threshold, bytes(32))) for _ in range(2))
    assert one == two
    assert len(one) == unmasking.MOST_SUBSETS
    assert all(len(set(subset)) == 5 for subset in one)
