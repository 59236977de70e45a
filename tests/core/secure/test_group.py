"""The coordinator's side: who may send what when, what counts once, and when a phase ends."""

from dataclasses import replace

import pytest

from fedrela.conformance.secure import sessions
from fedrela.core.errors import IntegrityError, InvalidMessage, Refused
from fedrela.core.secure import group as groups
from fedrela.core.secure import member as members
from fedrela.core.secure.messages import RevealedShare

pytestmark = pytest.mark.usefixtures("remembered")

VECTORS = sessions.vectors_of(6)


def at(phase, lost=None):
    return sessions.until(sessions.begin(6), phase, VECTORS, lost or {})


def test_a_phase_ends_when_all_have_come_or_time_is_up():
    session = at("sharing")
    for index in range(1, 6):
        session.share(index)
        session.close(timed_out=False)
        assert session.group.phase == "sharing"
    early = replace(session.group)
    session.share(6)
    session.close(timed_out=False)
    assert session.group.phase == "masking"
    assert groups.advance(early, timed_out=True).phase == "masking"


def test_signatures_and_answers_are_waited_for_until_there_are_enough():
    session = at("agreeing")
    for phase, act in (("agreeing", session.agree), ("revealing", session.reveal)):
        for index in range(1, 6):
            assert session.group.phase == phase
            act(index)
            session.close(timed_out=False)
    assert session.group.phase == "summing"
    session.agree(6)
    session.reveal(6)  # one more to find a liar by
    assert session.total().tolist() == VECTORS.sum(0).tolist()


@pytest.mark.parametrize("phase", sessions.PHASES)
def test_below_the_threshold_a_group_fails_and_is_tried_again_only_if_nothing_was_masked(phase):
    session = at("summing", {5: phase, 6: phase})
    assert (session.group.phase, session.group.failed_in) == ("failed", phase)
    assert session.step(1).step == ("again" if phase == "sharing" else "closed")
    assert groups.advance(session.group, timed_out=True) == session.group


def test_who_comes_too_late_is_told_so():
    session = at("masking", {6: "sharing"})
    assert session.step(6).step == "closed"
    _, shares = members.share(session.members[6], session.group.roster)
    with pytest.raises(Refused, match="not now"):
        groups.accept_shares(session.group, 6, shares)
    assert at("agreeing", {6: "masking"}).step(6).step == "closed"


def test_the_same_message_counts_once_and_another_is_refused():
    session = at("summing")
    group = session.group
    assert groups.accept_shares(group, 1, group.shares[1]) == group
    assert groups.accept_masked(group, group.proofs[1]) == group
    assert groups.accept_agreement(group, group.agreements[1]) == group
    assert groups.accept_reveal(group, 1, group.reveals[1]) == group
    for accept in (
        lambda: groups.accept_shares(group, 1, replace(group.shares[1], commitment="00" * 32)),
        lambda: groups.accept_masked(group, replace(group.proofs[1], words_sha256="00" * 32)),
        lambda: groups.accept_agreement(group, replace(group.agreements[1], signature="00" * 64)),
        lambda: groups.accept_reveal(group, 1, sessions.wrong(group.reveals[1])),
    ):
        with pytest.raises(Refused, match="another message"):
            accept()


def test_every_message_has_its_turn_and_its_session():
    late, early = at("summing").group, at("sharing").group
    reveal = late.reveals[1]
    for accept in (
        lambda: groups.accept_masked(early, late.proofs[1]),
        lambda: groups.accept_agreement(early, late.agreements[1]),
        lambda: groups.accept_reveal(early, 1, reveal),
    ):
        with pytest.raises(Refused, match="not now"):
            accept()
    for accept in (
        lambda: groups.accept_shares(early, 1, replace(late.shares[1], session="00" * 32)),
        lambda: groups.accept_shares(early, 7, late.shares[1]),
        lambda: groups.accept_reveal(late, 7, reveal),
    ):
        with pytest.raises(InvalidMessage, match="another session"):
            accept()


def test_shares_for_others_than_all_are_refused():
    session = at("sharing")
    _, shares = members.share(session.members[1], session.group.roster)
    for sealed in (shares.sealed[:-1], (replace(shares.sealed[0], index=1), *shares.sealed[1:])):
        with pytest.raises(InvalidMessage, match="all other members"):
            groups.accept_shares(session.group, 1, replace(shares, sealed=sealed))


def test_forged_proofs_and_agreements_are_refused():
    session = at("masking", {6: "sharing"})
    _, _, proof = members.mask(session.members[1], session.step(1).inbox, VECTORS[0], sessions.identity(1))
    for forged in (replace(proof, words_sha256="00" * 32), replace(proof, senders_sha256="00" * 32)):
        with pytest.raises(IntegrityError):
            groups.accept_masked(session.group, forged)
    with pytest.raises(Refused, match="has not shared"):
        groups.accept_masked(session.group, replace(proof, index=6))
    session = at("agreeing", {6: "masking"})
    _, agreement = members.agree(session.members[1], session.step(1).survivors, sessions.identity(1))
    with pytest.raises(IntegrityError):
        groups.accept_agreement(session.group, replace(agreement, index=2))
    with pytest.raises(Refused, match="isn't there"):
        groups.accept_agreement(session.group, replace(agreement, index=6))


def test_shares_of_the_other_secret_are_refused():
    session = at("revealing", {6: "masking"})
    _, reveal = members.reveal(session.members[1], session.step(1).agreements)
    share = RevealedShare(6, "00" * 32)
    for changed in (
        replace(reveal, own=(*reveal.own, share), pair=()),
        replace(reveal, own=reveal.own[1:], pair=(reveal.own[0], *reveal.pair)),
    ):
        with pytest.raises(InvalidMessage, match="stay closed"):
            groups.accept_reveal(session.group, 1, changed)


def test_keys_that_others_would_refuse_never_reach_them():
    member = sessions.in_roster(sessions.offered(1), 1)
    groups.accept_keys(member, sessions.WORK)
    for keys in (replace(member.keys, mask_key="5a" * 32), replace(member.keys, signature="00" * 64)):
        with pytest.raises(IntegrityError):
            groups.accept_keys(replace(member, keys=keys), sessions.WORK)
    with pytest.raises(IntegrityError):
        groups.accept_keys(member, replace(sessions.WORK, round=4))
