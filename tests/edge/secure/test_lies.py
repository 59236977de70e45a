"""A lying coordinator: whatever it says, the device ends its turn, sends nothing more, and its owner is told why."""

from dataclasses import replace

import pytest

from fedrela.core.bundle import Bundle
from fedrela.core.secure.messages import SecureStep
from fedrela.edge.owner.settings import Event
from fedrela.edge.secure import kept_session
from tests.edge.conftest import some_examples
from tests.edge.secure import lies
from tests.edge.secure.conftest import secure_task
from tests.edge.secure.group_coordinator import GroupCoordinator
from tests.edge.secure.test_turn import WHOLE_TURN

ALL = {
    **{f"roster: {name}": (lie, reason, 1) for name, (lie, reason) in lies.ROSTERS.items()},
    **{f"inbox: {name}": (lie, reason, 2) for name, (lie, reason) in lies.INBOXES.items()},
    **{f"survivors: {name}": (lie, reason, 3) for name, (lie, reason) in lies.SURVIVORS.items()},
    **{f"agreements: {name}": (lie, reason, 4) for name, (lie, reason) in lies.AGREEMENTS.items()},
    **{f"out of order: {name}": told for name, told in lies.OUT_OF_ORDER.items()},
}


def refused(coordinator: GroupCoordinator, reason: str, sent: int) -> None:
    """Run a device into a lie: it has sent so many kinds of messages before, and nothing at all afterwards."""
    events: list[Event] = []
    client = coordinator.device(some_examples(30), on_event=events.append)
    outcome = client.run_once()
    assert (outcome.kind, outcome.reason) == ("dropped", "integrity-failed")
    assert reason in events[-1].detail
    assert coordinator.told() == WHOLE_TURN[:sent]
    method, path, _ = coordinator.requests[-1]
    assert (method, path.rsplit("/", 1)[1]) == ("GET", "secure"), "the lie was the last that was asked for"
    assert kept_session.load(client.store) is None
    assert client.store.keys("assignment/") == []


@pytest.mark.parametrize("name", ALL)
def test_nothing_more_is_sent_after_a_lie(coordinator: GroupCoordinator, name: str) -> None:
    lie, reason, sent = ALL[name]
    coordinator.lie = lambda step: lie(step, coordinator)
    refused(coordinator, reason, sent)


def test_keys_that_it_made_for_another_session_are_not_its_own(coordinator: GroupCoordinator) -> None:
    coordinator.breaks = 1
    coordinator.lie = lambda step: lies.FORMER_KEYS(step, coordinator)
    refused(coordinator, "other keys of this device than it sent", 1)
    assert len(coordinator.sent("secure/keys")) == 2


def test_one_that_never_shared_is_no_survivor(coordinator: GroupCoordinator) -> None:
    coordinator.lost = {6: "sharing"}
    coordinator.lie = lambda step: lies.NO_SENDER(step, coordinator)
    refused(coordinator, "not all among the senders", 3)


def once_more(coordinator: GroupCoordinator, kind: str) -> None:
    """Tell what was told before of some kind once more, changed, after the device has answered it."""
    told: list[SecureStep] = []

    def lie(step: SecureStep) -> SecureStep:
        if told:
            first = told[0]
            if first.roster is not None:
                return replace(first, roster=replace(first.roster, threshold=first.roster.threshold + 1))
            if first.inbox is not None:
                return replace(first, inbox=replace(first.inbox, sealed=first.inbox.sealed[:-1]))
            assert first.survivors is not None
            return replace(first, survivors=replace(first.survivors, proofs=first.survivors.proofs[:-1]))
        if step.step == kind:
            told.append(step)
        return step

    coordinator.lie = lie


@pytest.mark.parametrize(
    ("kind", "reason", "sent"),
    [("share", "second roster", 2), ("mask", "second inbox", 3), ("agree", "second list of survivors", 4)],
)
def test_a_second_message_of_a_kind_is_refused(
    coordinator: GroupCoordinator, kind: str, reason: str, sent: int
) -> None:
    once_more(coordinator, kind)
    refused(coordinator, reason, sent)


def test_new_keys_after_masking_are_refused(coordinator: GroupCoordinator) -> None:
    coordinator.lie = lambda step: SecureStep("again", reason="lost") if step.step == "agree" else step
    refused(coordinator, "is asked for another session", 3)


def test_what_a_coordinator_says_is_safe_to_print(coordinator: GroupCoordinator) -> None:
    events: list[Event] = []
    coordinator.lie = lambda step: SecureStep("closed", reason="\x1b[2Jgone")
    assert coordinator.device(some_examples(30), on_event=events.append).run_once().reason == "group-closed"
    assert events[-1].detail == "?[2Jgone"


def test_the_same_message_again_gets_the_same_bytes(coordinator: GroupCoordinator) -> None:
    told: list[SecureStep] = []

    def lie(step: SecureStep) -> SecureStep:
        """Every step is told three times; the third time the device answers again."""
        if told and len(told) < 3 and step.step != told[0].step:
            told.append(told[0])
            return told[0]
        told[:] = [step] if not told or step.step != told[0].step else told
        return step

    coordinator.lie = lie
    client = coordinator.device(some_examples(30))
    assert client.run_once().kind == "uploaded"
    for kind in ("secure/shares", "/update", "secure/agreement"):
        bodies = coordinator.sent(kind)
        assert len(bodies) == 2, kind
        assert len(set(bodies)) == 1, kind


def test_a_round_is_masked_for_once_whatever_the_assignment_is_called(coordinator: GroupCoordinator) -> None:
    client = coordinator.device(some_examples(30))
    coordinator.lie = lambda step: SecureStep("closed", reason="lost") if step.step == "agree" else step
    assert client.run_once().reason == "group-closed"
    coordinator.attempt, coordinator.played = 1, None
    coordinator.lie = lambda step: step
    events: list[Event] = []
    client.on_event = events.append
    assert client.run_once().reason == "integrity-failed"
    assert "masked for round 1 of the task already" in events[-1].detail
    assert len(coordinator.sent("/update")) == 1
    assert coordinator.told() == [*WHOLE_TURN[:3], "failure"], "it says so, and trains nothing"


def test_one_checkpoint_is_trained_into_two_sums_at_most(small_bundle: Bundle) -> None:
    with GroupCoordinator(small_bundle, secure_task(rounds=3)) as coordinator:
        events: list[Event] = []
        client = coordinator.device(some_examples(30), on_event=events.append)
        for _ in range(2):
            assert client.run_once().kind == "uploaded"
            coordinator.next_round()  # from the same weights, as if it had been skipped
        assert client.run_once().reason == "integrity-failed"
        assert "two updates from these weights" in events[-1].detail
        assert len(coordinator.sent("/update")) == 2
        assert coordinator.told() == [*WHOLE_TURN, *WHOLE_TURN, "failure"], "a third one is refused before it trains"
