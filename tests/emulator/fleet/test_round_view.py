"""What the fleet counts by itself, and when it must ask the coordinator."""

import dataclasses

import pytest

from fedrela.core.privacy import Privacy
from fedrela.core.task import Task
from fedrela.emulator.fleet.messages import Busy, Done, PendingRequest
from fedrela.emulator.fleet.round_view import CoordinatorClock, RoundView

NOW = 20.0  # the coordinator's time


class Coordinator:
    """Answers as a coordinator would in the middle of a round, and counts how often it is asked."""

    def __init__(self, **changes):
        self.task_record = {
            "status": "running", "round": 3, "phase": "collecting", "open": 2, "reported": 1, "problem": "",
            "deadline_at": 90.0, **changes,
        }  # fmt: skip
        self.requests, self.clock = 0, []

    def task(self, task_id):
        self.requests += 1
        return self.task_record

    def rounds(self, task_id):
        return [
            {"phase": phase, "round": number} for number, phase in ((1, "committed"), (2, "committed"), (3, "open"))
        ]

    def set_clock(self, now):
        self.clock.append(now)
        return now or 7.5


def task(**settings):
    task_ = Task(name="t", rounds=5)
    return dataclasses.replace(
        task_, round=dataclasses.replace(task_.round, goal=4, smallest_cohort=1, over_selection=1.5, **settings)
    )


def done(kind):
    return Done(0, 1.0, kind, "", 0.0, ())


@pytest.fixture
def round_view():
    return RoundView(Coordinator(), task(), "t", lossy=False)


def test_expected_answers_are_counted_without_asking(round_view):
    assert round_view.free() == 3
    assert not round_view.count("check-in", Busy(0, 5.0), NOW)
    assert round_view.free() == 2
    assert not round_view.count("update", done("uploaded"), NOW)
    assert (round_view.round.open, round_view.round.reported, round_view.free()) == (2, 2, 2)
    assert round_view.admin.requests == 1


def test_the_update_that_fills_the_round_is_followed_up():
    round_view = RoundView(Coordinator(open=3), task(), "t", lossy=False)
    assert [round_view.count("update", done("uploaded"), NOW) for _ in range(3)] == [False, False, True]


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("check-in", done("waiting")),
        ("check-in", done("drop-out")),
        ("update", done("dropped")),
        ("update", PendingRequest(0, 2.0, "update")),
        ("failure", done("dropped")),
        ("update", None),
    ],
)
def test_whatever_else_happens_is_asked_about(round_view, kind, answer):
    before = round_view.round
    assert round_view.count(kind, answer, NOW)
    assert round_view.round == before


def test_what_the_rules_of_a_round_forbid_says_that_the_coordinator_knows_more():
    full = RoundView(Coordinator(open=5), task(), "t", lossy=False)
    assert full.count("check-in", Busy(0, 5.0), NOW)
    idle = RoundView(Coordinator(open=0), task(), "t", lossy=False)
    assert idle.count("update", done("uploaded"), NOW)
    assert (full.round.open, idle.round.reported) == (5, 1)


def test_a_round_without_a_deadline_yet_or_a_lossy_network_is_always_asked_about():
    begins = RoundView(Coordinator(deadline_at=None), task(), "t", lossy=False)
    assert begins.count("check-in", Busy(0, 5.0), NOW)
    assert begins.free() == 2  # counted all the same: nobody else is woken for that slot
    assert RoundView(Coordinator(), task(), "t", lossy=True).count("check-in", Busy(0, 5.0), NOW)


def test_commits_are_reported_once(round_view):
    assert [record["round"] for record in round_view.new_commits()] == [1, 2]
    assert round_view.new_commits() == []


def test_as_many_go_together_as_the_round_wants(round_view):
    assert (round_view.room("update"), round_view.room("check-in"), round_view.room("failure")) == (2, 3, 1)


def test_of_a_group_s_messages_only_questions_go_together():
    hidden = dataclasses.replace(task(), privacy=Privacy("peers", 5, 5))
    round_view = RoundView(Coordinator(), hidden, "t", lossy=False)
    assert round_view.room("secure") > 5
    assert {round_view.room(kind) for kind in ("keys", "shares", "update", "agreement", "reveal")} == {1}


def test_the_clock_shows_whole_seconds_and_never_goes_back():
    coordinator = Coordinator()
    clock = CoordinatorClock(coordinator)
    for t in (0.4, 3.2, 3.9, 1.0):
        clock.move(t)
    clock.move_past(3.9)
    assert coordinator.clock == [0.0, 8.0 + 3, 8.0 + 4]
    assert clock.same_step(3.2, 3.9)
    assert not clock.same_step(2.9, 3.0)
