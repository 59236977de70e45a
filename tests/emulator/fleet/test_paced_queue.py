"""Members of a group wait in real time, and keep nobody from what needs no waiting."""

import pytest

from fedrela.emulator.fleet.paced_queue import PacedQueue


class Time:
    """Real time that passes only while somebody sleeps."""

    def __init__(self):
        self.now, self.slept = 100.0, []

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def queue(time):
    return PacedQueue(clock=lambda: time.now, sleep=time.sleep)


def send(queue, t, device, kind="keys"):
    queue.add(t, device, "gate", kind)
    return queue.gates(lambda t, first: True, lambda kind: 1)


def asked(queue):
    """The device whose question is the next event."""
    return queue.first()[1], queue.gates(lambda t, first: True, lambda kind: 1)[0][0]


def test_a_question_goes_when_as_much_real_time_has_passed_as_the_device_waits(queue, time):
    assert send(queue, 5.0, 1) == [(5.0, 1, "keys")]
    queue.add(12.0, 1, "gate", "secure")
    assert queue
    assert asked(queue) == (1, 12.0)
    assert time.slept == [7.0]
    queue.add(12.5, 1, "gate", "secure")
    time.now += 3  # the coordinator took its time: the device has waited long enough
    assert asked(queue) == (1, 12.5)
    assert time.slept == [7.0]
    assert not queue


def test_whoever_is_under_way_goes_on_meanwhile(queue, time):
    send(queue, 5.0, 1)
    queue.add(12.0, 1, "gate", "secure")
    queue.add(600.0, 2, "gate", "shares")
    assert queue.first()[1] == 2
    queue.pop()
    assert time.slept == []


def test_nobody_new_comes_before_a_question_that_is_held(queue, time):
    send(queue, 5.0, 1)
    queue.add(12.0, 1, "gate", "secure")
    queue.add(11.0, 2, "wake")
    queue.add(13.0, 3, "wake")
    assert queue.first()[1] == 2
    queue.pop()
    assert (queue.first()[1], time.slept) == (1, [7.0])


def test_questions_go_in_the_order_in_which_they_are_due(queue, time):
    send(queue, 50.0, 1)
    send(queue, 5.0, 2)
    queue.add(53.0, 1, "gate", "secure")
    queue.add(9.0, 2, "gate", "secure")
    assert [asked(queue), asked(queue)] == [(1, 53.0), (2, 9.0)]
    assert time.slept == [3.0, 1.0]
