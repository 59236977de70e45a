"""What is signed, byte by byte, and that a session's name holds all that its members must agree on."""

from dataclasses import replace

import pytest

from fedrela.conformance.secure import sessions
from fedrela.core.secure import statements
from fedrela.core.secure.messages import Roster
from fedrela.core.secure.statements import Work

WORK = Work("aa" * 32, "bb" * 32, "cc" * 32, 7)


def test_signed_lines_by_hand():
    expected = f"fedrela/v1/secure-keys\na-1\n{'aa' * 32}\n{'bb' * 32}\n{'cc' * 32}\n7\nm\ns\n"
    assert statements.keys(WORK, "a-1", "m", "s") == expected.encode()
    assert statements.masked("x", "y", "z") == b"fedrela/v1/secure-masked\nx\ny\nz\n"
    assert statements.survivors("x", (3, 16), "y") == b"fedrela/v1/secure-survivors\nx\n0310\ny\n"


def test_no_two_thresholds_fit_into_a_group_without_a_third_of_it_in_both():
    for members in range(5, 65):
        threshold = statements.threshold(members)
        assert 3 * (2 * threshold - members) > members
        assert members - threshold == (members - 1) // 3  # that many may vanish


def test_the_order_of_senders_is_their_own():
    assert statements.senders_sha256((3, 1)) == statements.senders_sha256((1, 3)) != statements.senders_sha256((1,))


@pytest.mark.parametrize("changed", ["threshold", "order", "identity", "mask key", "task", "round"])
def test_the_session_is_another_where_anything_is(changed):
    roster, work = sessions.begin(5).group.roster, WORK
    first, second, *rest = roster.members
    before = statements.session(roster, work)
    if changed == "threshold":
        roster = replace(roster, threshold=5)
    elif changed == "order":
        roster = Roster(roster.threshold, (replace(second, index=1), replace(first, index=2), *rest))
    elif changed == "identity":
        roster = replace(roster, members=(replace(first, identity_key="ee" * 32), second, *rest))
    elif changed == "mask key":
        keys = replace(first.keys, mask_key="ee" * 32)
        roster = replace(roster, members=(replace(first, keys=keys), second, *rest))
    else:
        work = replace(work, **({"round": 8} if changed == "round" else {"task_sha256": "ee" * 32}))
    assert statements.session(roster, work) != before
