"""The rules of a round: every row of the table as (before, event, after), and laws that hold for any history."""

from dataclasses import replace

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from fedrela.coordinator.rounds import rules
from fedrela.coordinator.rounds.rules import Round
from fedrela.core.errors import Refused
from fedrela.core.task import Rounds

SYNC = Rounds(goal=2, smallest_cohort=1, minimum=1, deadline_seconds=60, retries=1)
PAIR = replace(SYNC, minimum=2)
ASYNC = Rounds(mode="asynchronous", goal=2, smallest_cohort=1, concurrency=3)
EMPTY = Round(1, "collecting", 0.0)


def at(**changes: object) -> Round:
    """The empty round with some fields changed."""
    return replace(EMPTY, **changes)  # type: ignore[arg-type]


def expire_at(now: float):
    """The expiry event at a time."""
    return lambda round_, settings: rules.expire(round_, settings, now)


def join_at(now: float):
    """The join event at a time."""
    return lambda round_, settings: rules.join(round_, settings, now)


def release(round_: Round, settings: Rounds) -> Round:
    """The release event."""
    return rules.release(round_)


TABLE = [
    ("the first join starts the deadline", SYNC, at(), join_at(5), at(open=1, deadline_at=65)),
    ("a later join does not", SYNC, at(open=1, deadline_at=65), join_at(9), at(open=2, deadline_at=65)),
    ("asynchronous rounds have none", ASYNC, at(), join_at(5), at(open=1)),
    ("below the goal", SYNC, at(open=2), rules.report, at(open=1, reported=1)),
    ("the goal", SYNC, at(open=1, reported=1), rules.report, at(reported=2, phase="aggregating")),
    ("a slot comes back", SYNC, at(open=2), release, at(open=1)),
    ("before the deadline", SYNC, at(open=1, deadline_at=60), expire_at(59.9), at(open=1, deadline_at=60)),
    (
        "enough at the deadline",
        SYNC,
        at(open=1, reported=1, deadline_at=60),
        expire_at(60),
        at(open=1, reported=1, deadline_at=60, phase="aggregating"),
    ),
    (
        "too few, tried again, what was reported stays",
        PAIR,
        at(open=1, reported=1, deadline_at=60),
        expire_at(60),
        at(open=1, reported=1, deadline_at=120, attempt=2),
    ),
    ("nobody left: wait for the first join", SYNC, at(deadline_at=60), expire_at(60), at(attempt=2)),
    (
        "no retry left",
        PAIR,
        at(reported=1, deadline_at=60, attempt=2),
        expire_at(60),
        at(reported=1, attempt=2, phase="failed"),
    ),
    (
        "no retry left, and it may be skipped",
        PAIR,
        at(reported=1, deadline_at=60, attempt=2),
        lambda round_, settings: rules.expire(round_, settings, 60, may_skip=True),
        at(reported=1, attempt=2, phase="skipped"),
    ),
    ("asynchronous: joins go on", ASYNC, at(phase="aggregating"), join_at(1), at(phase="aggregating", open=1)),
    (
        "asynchronous: counts in the next",
        ASYNC,
        at(phase="aggregating", open=1, reported=2),
        rules.report,
        at(phase="aggregating", reported=2, pending=1),
    ),
    ("late failure", SYNC, at(phase="aggregating", open=1), release, at(phase="aggregating")),
    ("failure after failing", SYNC, at(phase="failed", open=1), release, at(phase="failed")),
    (
        "resume",
        SYNC,
        at(phase="failed", attempt=2, reported=1),
        lambda round_, settings: rules.resume(round_, settings, 100),
        at(reported=1, deadline_at=160),
    ),
    (
        "commit",
        SYNC,
        at(phase="aggregating", reported=2),
        lambda round_, settings: rules.commit(round_),
        at(phase="committed", reported=2),
    ),
]


@pytest.mark.parametrize(
    ("settings", "before", "event", "after"), [row[1:] for row in TABLE], ids=[r[0] for r in TABLE]
)
def test_table(settings: Rounds, before: Round, event, after: Round) -> None:
    assert event(before, settings) == after


REFUSED = [
    (SYNC, at(open=2), join_at(1)),
    (SYNC, at(open=1, reported=1), join_at(1)),
    (SYNC, at(phase="aggregating"), join_at(1)),
    (SYNC, at(phase="failed"), join_at(1)),
    (SYNC, at(phase="committed"), join_at(1)),
    (ASYNC, at(open=3), join_at(1)),
    (SYNC, at(phase="aggregating", open=1), rules.report),
    (SYNC, at(phase="committed", open=1), rules.report),
    (SYNC, at(), rules.report),
    (SYNC, at(), release),
    (SYNC, at(phase="committed", open=1), release),
    (SYNC, at(phase="skipped", open=1), release),
    (SYNC, at(phase="skipped"), join_at(1)),
    (SYNC, at(phase="skipped"), lambda round_, settings: rules.abandon(round_)),
    (SYNC, at(), lambda round_, settings: rules.commit(round_)),
    (SYNC, at(phase="committed"), lambda round_, settings: rules.commit(round_)),
]


@pytest.mark.parametrize(("settings", "before", "event"), REFUSED)
def test_every_other_pair_is_refused(settings: Rounds, before: Round, event) -> None:
    with pytest.raises(Refused):
        event(before, settings)


def test_over_selection_hands_out_more_assignments_than_the_goal() -> None:
    assert rules.slots(Rounds(goal=10, over_selection=1.25)) == 13
    assert rules.slots(Rounds(mode="asynchronous", goal=10)) == 20


def test_asynchronous_leftovers_move_into_the_next_round_which_may_be_full_at_once() -> None:
    done = at(phase="aggregating", open=2, reported=2, pending=1)
    assert rules.following(done, ASYNC, 7) == Round(2, "collecting", 7, open=2, reported=1)
    assert rules.following(replace(done, pending=2), ASYNC, 7).phase == "aggregating"
    assert rules.following(done, SYNC, 7) == Round(2, "collecting", 7)


class Fleet(RuleBasedStateMachine):
    """Any history of one task: devices join, report, fail, vanish; time passes; workers commit."""

    settings = SYNC

    def __init__(self) -> None:
        super().__init__()
        self.round = rules.first(0.0)
        self.now = 0.0
        self.open: set[int] = set()
        self.counted: dict[int, int] = {}  # assignment -> round in which it counts
        self.committed: list[int] = []
        self.assignments = 0

    @precondition(lambda self: rules.has_room(self.round, self.settings))
    @rule()
    def device_joins(self) -> None:
        self.round = rules.join(self.round, self.settings, self.now)
        self.assignments += 1
        self.open.add(self.assignments)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def device_reports(self, data: st.DataObject) -> None:
        assignment = data.draw(st.sampled_from(sorted(self.open)))
        number = rules.counts_in(self.round)
        try:
            self.round = rules.report(self.round, self.settings)
        except Refused:
            return
        self.open.remove(assignment)
        assert assignment not in self.counted
        self.counted[assignment] = number

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def device_fails_or_vanishes(self, data: st.DataObject) -> None:
        self.open.remove(data.draw(st.sampled_from(sorted(self.open))))
        self.round = rules.release(self.round)

    @rule(seconds=st.sampled_from([1.0, 30.0, 100.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.round = rules.expire(self.round, self.settings, self.now)

    @precondition(lambda self: self.round.phase == "failed")
    @rule()
    def operator_resumes(self) -> None:
        self.round = rules.resume(self.round, self.settings, self.now)

    @precondition(lambda self: self.round.phase == "aggregating")
    @rule()
    def worker_commits(self) -> None:
        done = rules.commit(self.round)
        self.committed.append(done.number)
        with pytest.raises(Refused):
            rules.commit(done)  # never twice
        assert self.round.reported >= self.settings.minimum
        if self.settings.mode == "synchronous":
            self.open.clear()  # the service closes them with the commit
        self.round = rules.following(self.round, self.settings, self.now)

    @invariant()
    def counters_equal_the_assignments(self) -> None:
        assert self.round.open == len(self.open)
        assert self.round.reported == sum(n == self.round.number for n in self.counted.values())
        assert self.round.pending == sum(n == self.round.number + 1 for n in self.counted.values())

    @invariant()
    def rounds_are_committed_once_and_in_order(self) -> None:
        assert self.committed == list(range(1, self.round.number))

    @invariant()
    def no_more_assignments_than_slots(self) -> None:
        assert len(self.open) <= rules.slots(self.settings)


@pytest.mark.parametrize("settings", [SYNC, PAIR, replace(SYNC, over_selection=2.5), ASYNC])
def test_laws(settings: Rounds) -> None:
    class Case(Fleet):
        pass

    Case.settings = settings
    run_state_machine_as_test(
        Case, settings=hypothesis_settings(max_examples=60, stateful_step_count=30, deadline=None)
    )
