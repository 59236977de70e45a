"""The order of virtual time, and what may go together."""

from fedrela.emulator.fleet.event_queue import EventQueue


def same_second(t, other):
    return int(t) == int(other)


def queue(*entries, busy=()):
    events = EventQueue(busy=dict(busy))
    for entry in entries:
        events.add(*entry)
    return events


def room(**most):
    return lambda kind: most.get(kind.replace("-", "_"), 1)


def test_what_was_noted_first_comes_first_at_one_time_of_one_device():
    events = queue((1.0, 2, "done", "b"), (1.0, 1, "done", "a"), (1.0, 2, "gate", "c"))
    assert [events.pop()[4] for _ in range(3)] == ["a", "b", "c"]
    assert not events


def test_requests_go_together_within_one_step_of_the_clock_and_their_room():
    entries = [(1.1, 1, "gate", "update"), (1.2, 2, "gate", "check-in"), (1.3, 3, "gate", "update")]
    late = (2.0, 4, "gate", "update")
    taken = queue(*entries, late).gates(same_second, room(update=5, check_in=5))
    assert [device for _, device, _ in taken] == [1, 2, 3]
    assert len(queue(*entries).gates(same_second, room(update=5, check_in=5))) == 3
    two = queue(*entries, (1.4, 5, "gate", "update")).gates(same_second, room(update=2, check_in=5))
    assert [device for _, device, _ in two] == [1, 2, 3]


def test_what_must_go_alone_goes_alone():
    entries = [(1.1, 1, "gate", "update"), (1.2, 2, "gate", "failure"), (1.3, 3, "gate", "update")]
    events = queue(*entries)
    assert [events.gates(same_second, room(update=5)) for _ in range(3)] == [
        [(1.1, 1, "update")],
        [(1.2, 2, "failure")],
        [(1.3, 3, "update")],
    ]


def test_nothing_goes_past_a_device_that_may_be_heard_before_it():
    entries = [(1.1, 1, "gate", "update"), (1.2, 2, "busy"), (1.3, 3, "gate", "update")]
    assert len(queue(*entries, busy={2: 1.2}).gates(same_second, room(update=5))) == 1
    assert len(queue(*entries).gates(same_second, room(update=5))) == 2  # it has been heard of


def test_devices_are_woken_ahead_within_one_step_and_in_order():
    events = queue((1.1, 1, "wake"), (1.2, 9, "done"), (1.4, 3, "wake"), (1.3, 2, "wake"), (2.1, 4, "wake"))
    assert events.wakes(same_second, 3) == [(1.1, 1), (1.3, 2), (1.4, 3)]
    assert [events.pop()[1] for _ in range(2)] == [9, 4]
    assert queue((1.1, 1, "wake"), (1.3, 2, "wake")).wakes(same_second, 1) == [(1.1, 1)]
    never = queue((1.1, 1, "wake"), (5.0, 2, "wake"), (6.0, 9, "done"), (7.0, 3, "wake"))
    assert never.wakes(lambda t, first: False, 5) == [(1.1, 1), (5.0, 2)]  # nothing lies between them


def test_what_is_forgotten_is_gone_and_the_others_keep_their_order():
    events = queue((3.0, 1, "wake"), (2.0, 2, "done", "b"), (0.5, 3, "tick"), (1.0, 4, "gate", "a"))
    events.forget({"wake", "tick"})
    assert [events.pop()[4] for _ in range(2)] == ["a", "b"]
    assert not events
