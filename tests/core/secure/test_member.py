"""A device's side: the same bytes after a restart, and nothing after what a lying coordinator says."""

from dataclasses import replace

import numpy as np
import pytest

from fedrela.conformance.secure import sessions
from fedrela.core.errors import IntegrityError
from fedrela.core.secure import group as groups
from fedrela.core.secure import masked_body
from fedrela.core.secure import member as members
from fedrela.core.secure.messages import Agreements, Inbox, Survivors

pytestmark = pytest.mark.usefixtures("remembered")

ME = 2
VECTORS = sessions.vectors_of(6)


def at(phase, lost=None):
    """A session of six in that phase, before anybody did anything in it."""
    return sessions.until(sessions.begin(6), phase, VECTORS, lost or {})


def refused(reason):
    return pytest.raises(IntegrityError, match=reason)


def test_a_restarted_device_sends_the_same_bytes():
    session = at("summing", {6: "masking"})
    me = session.members[ME]
    group = session.group
    assert members.share(me, me.roster)[1] == group.shares[ME]
    _, body, proof = members.mask(me, me.inbox, VECTORS[ME - 1], sessions.identity(ME))
    assert proof == group.proofs[ME]
    assert body == members.mask(me, me.inbox, VECTORS[ME - 1], sessions.identity(ME))[1]
    assert members.agree(me, me.survivors, sessions.identity(ME))[1] == group.agreements[ME]
    assert members.reveal(me, me.agreements)[1] == group.reveals[ME]


def test_a_survivor_s_own_seed_and_a_lost_one_s_mask_key_are_revealed_and_never_both():
    reveal = at("summing", {6: "sharing"}).group.reveals[ME]
    assert ([one.index for one in reveal.own], reveal.pair) == ([1, 2, 3, 4, 5], ())
    reveal = at("summing", {6: "masking"}).group.reveals[ME]
    assert ([one.index for one in reveal.own], [one.index for one in reveal.pair]) == ([1, 2, 3, 4, 5], [6])


def test_a_second_roster_is_refused():
    session = at("masking")
    me = session.members[ME]
    with refused("second roster"):
        members.share(me, replace(me.roster, threshold=6))


def test_a_second_inbox_is_refused_and_so_is_a_second_vector():
    session = at("agreeing")
    me = session.members[ME]
    with refused("second inbox"):
        members.mask(me, replace(me.inbox, sealed=me.inbox.sealed[:-1]), VECTORS[ME - 1], sessions.identity(ME))
    with refused("second vector"):
        members.mask(me, me.inbox, VECTORS[ME - 1] + np.int32(1), sessions.identity(ME))


def test_a_second_list_of_survivors_is_refused():
    me = at("revealing").members[ME]
    fewer = replace(me.survivors, proofs=me.survivors.proofs[:-1])
    with refused("second list of survivors"):
        members.agree(me, fewer, sessions.identity(ME))


def mask(session, inbox):
    return members.mask(session.members[ME], inbox, VECTORS[ME - 1], sessions.identity(ME))


def test_an_inbox_that_lies_is_refused():
    session = at("masking")
    inbox = session.step(ME).inbox
    own, stranger = replace(inbox.sealed[0], index=ME), replace(inbox.sealed[0], index=9)
    with refused("another session"):
        mask(session, replace(inbox, session="00" * 32))
    with refused("box from this device to itself"):
        mask(session, Inbox(inbox.session, (inbox.sealed[0], own, *inbox.sealed[1:])))
    with refused("stranger"):
        mask(session, Inbox(inbox.session, (*inbox.sealed, stranger)))
    with refused("only 4 members have shared, and 5 are needed"):
        mask(session, replace(inbox, sealed=inbox.sealed[:3]))


def agree(session, survivors):
    return members.agree(session.members[ME], survivors, sessions.identity(ME))


def test_survivors_that_lie_are_refused():
    session = at("agreeing", {6: "sharing"})
    survivors = session.step(ME).survivors
    first, me, *rest = survivors.proofs
    with refused("another session"):
        agree(session, replace(survivors, session="00" * 32))
    with refused("another session"):
        agree(session, replace(survivors, proofs=(replace(first, session="00" * 32), me, *rest)))
    with refused("not all among the senders"):
        agree(session, replace(survivors, proofs=(*survivors.proofs, replace(first, index=6))))
    with refused("stranger"):
        agree(session, replace(survivors, proofs=(*survivors.proofs, replace(first, index=9))))
    with refused("only 4 members survive"):
        agree(session, replace(survivors, proofs=survivors.proofs[:4]))
    with refused("does not match"):
        agree(session, replace(survivors, proofs=(replace(first, words_sha256="00" * 32), me, *rest)))
    with refused("masked for other senders"):
        agree(session, replace(survivors, proofs=(replace(first, senders_sha256="00" * 32), me, *rest)))


def test_survivors_without_this_device_are_refused():
    session = at("agreeing")
    others = tuple(proof for proof in session.step(ME).survivors.proofs if proof.index != ME)
    with refused("leave this device out"):
        agree(session, Survivors(session.group.session, others))


def test_too_few_signatures_on_exactly_its_own_list_open_nothing():
    session = at("revealing")
    agreements = session.step(ME).agreements
    me, signed = session.members[ME], agreements.agreements
    forged = replace(signed[0], signature=signed[1].signature)
    copied = replace(signed[0], index=6, signature=signed[0].signature)
    assert len(signed) == 6
    with refused("another session"):
        members.reveal(me, replace(agreements, session="00" * 32))
    for agreed in (signed[:4], (forged, *signed[1:4]), (*signed[:4], copied)):
        with refused("only [34] members agree on the survivors, and 5 are needed"):
            members.reveal(me, replace(agreements, agreements=agreed))
    members.reveal(me, replace(agreements, agreements=(forged, *signed[1:])))  # five good ones beside it


def test_lists_that_differ_by_one_open_nothing_for_anybody():
    # Three are told that 6 vanished, three that all survived: neither list gets five signatures.
    session = at("agreeing")
    whole = session.step(ME).survivors
    fewer = replace(whole, proofs=whole.proofs[:5])
    told = {index: fewer if index <= 3 else whole for index in range(1, 7)}
    signed = []
    for index, survivors in told.items():
        session.members[index], one = members.agree(session.members[index], survivors, sessions.identity(index))
        signed.append(one)
    for index in told:
        with refused("members agree on the survivors"):
            members.reveal(session.members[index], Agreements(session.group.session, tuple(signed)))


def test_messages_out_of_order_are_refused():
    session = at("revealing")
    inbox, survivors = session.members[ME].inbox, session.members[ME].survivors
    agreements = session.step(ME).agreements
    new = sessions.offered(ME)
    with refused("before the roster"):
        members.mask(new, inbox, VECTORS[ME - 1], sessions.identity(ME))
    with refused("before the inbox"):
        members.agree(new, survivors, sessions.identity(ME))
    with refused("before the survivors"):
        members.reveal(new, agreements)


def test_a_box_that_does_not_open_is_left_out():
    session = at("masking")
    inbox = session.step(ME).inbox
    broken = replace(inbox.sealed[0], box="00" * 80)
    for index in (1, 3, 4, 5, 6):
        session.mask(index, VECTORS[index - 1])
    session.members[ME], body, proof = mask(session, replace(inbox, sealed=(broken, *inbox.sealed[1:])))
    session.words[ME], _ = masked_body.from_bytes(body, VECTORS.shape[1])
    session.group = groups.accept_masked(session.group, proof)
    session.close()
    reveal = sessions.until(session, "summing", VECTORS, {}).group.reveals[ME]
    assert [one.index for one in reveal.own] == [2, 3, 4, 5, 6]
    assert session.total().tolist() == VECTORS.sum(0).tolist()
