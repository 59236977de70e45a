"""Groups are as large as they must be, as even as they can be, and drawn."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrela.core import streams
from fedrela.core.errors import InvalidTask
from fedrela.core.secure import formation
from fedrela.core.secure.formation import Rule


@given(st.integers(0, 2000), st.integers(5, 64), st.data())
def test_as_many_as_can_be_are_in_groups_and_the_rest_waits(waiting, target, data):
    rule = Rule(target, data.draw(st.integers(5, target)))
    closing = data.draw(st.booleans())
    sizes = formation.sizes(waiting, rule, closing=closing)
    if waiting < (rule.minimum if closing else target):
        assert sizes == ()
    else:
        assert sum(sizes) == min(waiting, len(sizes) * rule.largest)
        assert waiting - sum(sizes) < target
        assert max(sizes) - min(sizes) <= 1
        assert rule.minimum <= min(sizes) <= max(sizes) <= rule.largest


def test_a_room_closes_when_time_is_up_or_nobody_else_can_come():
    rule = Rule()
    assert not formation.is_closing(rule, waited_seconds=29.9, others_at_work=1)
    assert formation.is_closing(rule, waited_seconds=30.0, others_at_work=1)
    assert formation.is_closing(rule, waited_seconds=0.0, others_at_work=0)


def test_groups_are_drawn_and_each_member_is_in_one():
    waiting = [f"d-{number}" for number in range(35)]
    stream = streams.derive(b"coordinator", "groups", 1)
    groups = formation.form(waiting, (17, 16), stream)
    assert [len(group) for group in groups] == [17, 16]
    assert sorted(name for group in groups for name in group) == sorted(waiting[:33])
    assert groups[0] != tuple(waiting[:17])
    assert groups == formation.form(waiting, (17, 16), stream)


@pytest.mark.parametrize("rule", [{"target": 4}, {"minimum": 4}, {"target": 65}, {"target": 10, "minimum": 11}])
def test_rules_that_can_not_be_kept_are_refused(rule):
    with pytest.raises(InvalidTask):
        Rule(**rule)
