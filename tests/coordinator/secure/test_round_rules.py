"""What the rules of a round say of groups: pure functions, without a coordinator."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrela.coordinator.rounds import rules
from fedrela.coordinator.rounds.rules import Round
from fedrela.core.errors import Refused
from fedrela.core.task import Rounds

SETTINGS = Rounds(goal=32, minimum=5, smallest_cohort=5, over_selection=1.25, deadline_seconds=60)  # 40 slots


def collecting(*, open_: int = 40, reported: int = 0) -> Round:
    return Round(3, "collecting", 0.0, open=open_, reported=reported, deadline_at=60.0)


def test_a_group_reports_all_at_once() -> None:
    one = rules.report_group(collecting(), SETTINGS, 16, 14)
    assert (one.open, one.reported, one.phase) == (24, 16, "collecting")
    assert rules.report_group(one, SETTINGS, 16, 14).phase == "aggregating"


def test_a_round_ends_early_only_where_no_other_group_can_come() -> None:
    one = rules.report_group(collecting(reported=12, open_=28), SETTINGS, 14, 14)
    assert (one.reported, one.phase) == (26, "collecting")  # 14 slots are left
    assert rules.report_group(collecting(reported=13, open_=27), SETTINGS, 14, 14).phase == "aggregating"
    too_few = Rounds(goal=32, minimum=30, smallest_cohort=5, over_selection=1.25)
    assert rules.report_group(collecting(reported=13, open_=27), too_few, 14, 14).phase == "collecting"


def test_a_round_that_is_over_takes_no_sum() -> None:
    for round_ in (Round(3, "aggregating", 0.0, open=16), collecting(open_=5)):
        with pytest.raises(Refused, match="no more updates"):
            rules.report_group(round_, SETTINGS, 16, 14)


@given(st.integers(0, 40), st.booleans())
def test_a_deadline_skips_a_round_only_where_members_masked_and_too_few_are_in(reported: int, spent: bool) -> None:
    after = rules.expire(collecting(reported=reported), SETTINGS, 60.0, spent=spent)
    if reported >= 5:
        assert after.phase == "aggregating"
    elif spent:
        assert (after.phase, after.open, after.reported, after.deadline_at) == ("skipped", 0, 0, None)
    else:
        assert (after.phase, after.attempt) == ("collecting", 2)
    assert rules.expire(collecting(reported=reported), SETTINGS, 59.0, spent=spent) == collecting(reported=reported)


def test_a_skipped_round_is_over() -> None:
    skipped = rules.skip(collecting(reported=3))
    for event in (rules.skip, rules.abandon, rules.commit, rules.release):
        with pytest.raises(Refused):
            event(skipped)
