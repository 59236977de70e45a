"""A task that is over lets those end whom its last round counted, and nobody new begin, where time is real."""

from types import SimpleNamespace

import pytest

from fedrela.core.task import Task
from fedrela.emulator.fleet.fleet import Fleet
from fedrela.emulator.fleet.messages import Done, Grant
from fedrela.emulator.fleet.paced_queue import PacedQueue
from fedrela.emulator.scenario import from_toml


class Devices:
    """Each answers once to what it is told."""

    def __init__(self, answers):
        self.answers, self.told, self.said = answers, [], []

    def send(self, device, message):
        self.told.append((device, type(message)))
        self.said.append(self.answers[device].pop(0))

    def receive(self):
        said, self.said = self.said, []
        return said


def uploaded(device, kind="uploaded"):
    return Done(device, 9.0, kind, "", 0.0, ())


@pytest.fixture
def heard():
    return []


@pytest.fixture
def over(heard):
    """A fleet whose task has just finished."""

    def make(answers, *, virtual=False):
        nobody = SimpleNamespace(started=None, committed=None, done=heard.append)
        fleet = Fleet(
            from_toml('name = "a"\ndevices = 4'), Task("t", rounds=1), "id", None, Devices(answers), None, nobody
        )
        fleet._clock = SimpleNamespace(
            virtual=virtual,
            now=0.0,
            move=lambda t: None,
            same_step=lambda t, other: True,
            together=lambda t, other: True,
        )
        fleet._round_view = SimpleNamespace(
            running=False,
            room=lambda kind: 1,
            count=lambda kind, answer, now: isinstance(answer, Done),
            look=lambda: None,
            new_commits=list,
            round=SimpleNamespace(deadline_at=None),
        )
        fleet._queue = PacedQueue(clock=lambda: 0.0, sleep=lambda seconds: None)
        return fleet

    return make


def test_who_waits_at_the_gate_is_heard_and_nobody_wakes(over, heard):
    fleet = over({1: [uploaded(1)], 2: [], 3: [uploaded(3, "dropped")]})
    fleet._queue.add(5.0, 1, "gate", "update")
    fleet._queue.add(6.0, 2, "wake")
    fleet._queue.add(7.0, 3, "gate", "update")
    fleet._queue.add(8.0, -1, "tick")
    fleet._hear_the_last()
    assert fleet.workers.told == [(1, Grant), (3, Grant)]
    assert heard == [uploaded(1)]  # what the task has not counted is not told
    assert not fleet._queue


def test_in_virtual_time_only_what_has_ended_counts(over, heard):
    fleet = over({1: []}, virtual=True)
    fleet._queue.add(5.0, 1, "gate", "update")
    fleet._queue.add(6.0, 2, "done", uploaded(2))
    fleet._queue.add(6.5, 3, "done", uploaded(3, "drop-out"))
    fleet._hear_the_last()
    assert fleet.workers.told == []
    assert heard == [uploaded(2)]
