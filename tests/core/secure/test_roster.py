"""What a device refuses of a roster: each fault alone, and the good one is taken."""

from dataclasses import replace

import pytest

from fedrela.conformance.secure import sessions
from fedrela.core import signing
from fedrela.core.errors import IntegrityError
from fedrela.core.secure import ciphers, fleet, statements
from fedrela.core.secure import member as members
from fedrela.core.secure import roster as rosters
from fedrela.core.secure.messages import Roster

pytestmark = pytest.mark.usefixtures("remembered")

FLEET, TOKEN = "01" * 32, "02" * 32
ENDORSED = fleet.endorse(FLEET, signing.public_key(TOKEN), "default")


@pytest.fixture
def good():
    """A group of six in which member 2 looks at the roster."""
    return sessions.begin(6).group.roster


def changed(roster, index, **values):
    others = {one.index: one for one in roster.members}
    return replace(roster, members=tuple(({**others, index: replace(others[index], **values)}).values()))


def signed_anew(roster, index, **keys):
    """Member `index` with other keys, well signed."""
    one = roster.member(index)
    new = replace(one.keys, **keys)
    message = statements.keys(sessions.WORK, one.assignment_id, new.mask_key, new.seal_key)
    new = replace(new, signature=signing.sign(sessions.identity(index), message))
    return changed(roster, index, keys=new)


def renumbered(roster, numbers):
    rest = (replace(one, index=number) for number, one in zip(numbers, roster.members, strict=True))
    return Roster(roster.threshold, tuple(sorted(rest, key=lambda one: one.index)))


def check(roster, **terms):
    member = sessions.offered(2, **terms)
    return rosters.check(roster, member.terms, member.keys)


def test_a_good_roster_is_taken(good):
    assert check(good) == 2
    assert check(replace(good, threshold=6)) == 2


def disguised(key):
    return (int.from_bytes(bytes.fromhex(key), "little") + 2**255).to_bytes(32, "little").hex()


FAULTS = {
    "own keys under another identity": (
        lambda good: changed(good, 2, identity_key=signing.public_key("09" * 32)),
        "has not signed",
    ),
    "left out": (lambda good: without(good, 2), "leaves this device out"),
    "own keys changed": (
        lambda good: signed_anew(good, 2, mask_key=ciphers.public_key(b"Z" * 32).hex()),
        "other keys of this device",
    ),
    "a forged signature": (
        lambda good: changed(good, 3, keys=replace(good.member(3).keys, signature="00" * 64)),
        "member 3 has not signed",
    ),
    "another's signature": (lambda good: changed(good, 3, keys=good.member(4).keys), "twice"),
    "one identity twice": (
        lambda good: changed(good, 3, identity_key=good.member(4).identity_key),
        "identity key twice",
    ),
    "one assignment twice": (lambda good: changed(good, 3, assignment_id="a-4"), "assignment twice"),
    "one mask key twice": (
        lambda good: signed_anew(good, 3, mask_key=good.member(4).keys.mask_key),
        "key twice",
    ),
    "a seal key that is another's mask key": (
        lambda good: signed_anew(good, 3, seal_key=good.member(4).keys.mask_key),
        "key twice",
    ),
    "one mask key twice, its top bit set": (
        lambda good: signed_anew(good, 3, mask_key=disguised(good.member(4).keys.mask_key)),
        "in disguise",
    ),
    "a seal key of small order": (lambda good: signed_anew(good, 3, seal_key="01" + "00" * 31), "gives away"),
    "a mask key of small order": (lambda good: signed_anew(good, 3, mask_key="01" + "00" * 31), "gives away"),
    "a threshold too low": (lambda good: replace(good, threshold=4), "enough to open"),
    "a threshold above the group": (lambda good: replace(good, threshold=7), "enough to open"),
    "a gap in the numbers": (lambda good: renumbered(good, (1, 2, 3, 4, 5, 7)), "aren't numbered"),
    "too few": (lambda good: sessions.begin(4).group.roster, "fewer than the task's"),
}


def without(roster, index):
    rest = [one for one in roster.members if one.index != index]
    return Roster(statements.threshold(len(rest)), tuple(replace(one, index=at) for at, one in enumerate(rest, 1)))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_roster_is_refused_and_nothing_is_sent(good, fault):
    make, reason = FAULTS[fault]
    with pytest.raises(IntegrityError, match=reason):
        members.share(sessions.offered(2), make(good))


@pytest.mark.parametrize("other", ["task_sha256", "manifest_sha256", "checkpoint_sha256", "round"])
def test_a_member_that_was_given_other_work_is_refused(good, other):
    value = 4 if other == "round" else "ee" * 32
    stranger = sessions.offered(3, work=replace(sessions.WORK, **{other: value}))
    with pytest.raises(IntegrityError, match="member 3 has not signed its keys for this device's task and weights"):
        check(changed(good, 3, keys=stranger.keys))


def test_the_task_s_smallest_group_counts(good):
    with pytest.raises(IntegrityError, match="fewer than the task's 7"):
        check(good, smallest_group=7)


def test_with_a_fleet_every_member_must_belong_to_it(good):
    pinned = ENDORSED.fingerprint()
    with pytest.raises(IntegrityError, match="not of this device's fleet"):
        check(good, fleet=pinned)
    certified = good
    for one in good.members:
        certificate = fleet.certify(ENDORSED, TOKEN, one.identity_key, "default")
        certified = changed(certified, one.index, certificate=certificate)
    assert check(certified, fleet=pinned) == 2
    invented = fleet.certify(ENDORSED, "0a" * 32, good.member(5).identity_key, "default")
    with pytest.raises(IntegrityError):
        check(changed(certified, 5, certificate=invented), fleet=pinned)
