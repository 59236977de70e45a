"""Groups that lose members, break up, wait or come late: who is asked again, and who isn't."""

import pytest

from tests.coordinator.conftest import House
from tests.coordinator.secure.players import (
    SECURE_FEATURE,
    Player,
    at_work,
    begin,
    check_mean,
    play,
    private_blobs,
    ticking,
)


def groups_of(house: House, task_id: str, number: int = 1) -> list[dict[str, object]]:
    """What an operator sees of a round's groups."""
    return list(house.operator.rounds(task_id)[number - 1]["groups"])


def wait_reason(player: Player) -> str:
    """Why a device gets no assignment."""
    return str(player.device.check_in(features=(SECURE_FEATURE,))["wait"]["reason"])


def test_a_group_that_breaks_up_before_masking_costs_nothing(any_house: House) -> None:
    house = any_house
    task_id, players = begin(house)
    play(players, lost={1: "share", 2: "share"})
    house.clock(30.0)
    assert groups_of(house, task_id)[0]["reason"] == "too-few-members"
    assert [player.step().step for player in players] == ["again"] * 5
    there = players[2:]
    play(there)  # new keys, and they wait
    assert {player.step().step for player in there} == {"wait"}
    house.clock(130.0)
    for player in there:  # whoever comes back as told stays
        assert player.step().step == "wait"
    house.clock(155.0)  # and the first two were not heard of
    assert house.operator.task(task_id)["open"] == 3
    late = at_work(house.devices(2), house.operator, first=6)
    play([*there, *late])
    check_mean(house.operator, task_id, [*there, *late])


@pytest.mark.parametrize("step", ["mask", "reveal"])
def test_a_group_that_fails_after_masking_is_not_asked_again_and_its_round_is_skipped(house: House, step: str) -> None:
    task_id, players = begin(house)
    play(players, lost={1: step, 2: step}, pass_time=ticking(house))
    assert {player.step().step for player in players} == {"closed"}
    assert {wait_reason(player) for player in players} == {"reported"}
    assert private_blobs(house) == []
    assert house.operator.task(task_id)["open"] == 0
    house.clock(1000.0)
    skipped, opened = house.operator.rounds(task_id)
    assert (skipped["phase"], skipped["checkpoint_sha256"], opened["phase"]) == ("skipped", None, "collecting")
    shown = house.operator.task(task_id)
    assert (shown["round"], shown["committed_rounds"], shown["status"]) == (2, 0, "running")
    assert "round 1 was skipped" in shown["problem"]
    assert shown["checkpoint_sha256"] == shown["initial_checkpoint_sha256"]
    again = at_work([player.device for player in players], house.operator)
    play(again)
    assert house.operator.task(task_id)["problem"] == ""
    assert house.operator.rounds(task_id)[1]["updates"] == 5


def test_a_round_in_which_nobody_masked_is_tried_again_with_the_same_number(house: House) -> None:
    task_id, players = begin(house, 3)
    play(players)
    house.clock(1000.0)
    shown = house.operator.task(task_id)
    assert (shown["round"], shown["attempt"], shown["waiting_for_group"]) == (1, 2, 0)  # and they were silent too long


def test_whoever_shares_too_late_is_left_out_and_may_come_again(house: House) -> None:
    task_id, players = begin(house, 5, goal=10)
    play(players, lost={3: "share"}, until="mask", pass_time=ticking(house))
    late = players[2]
    assert late.step().step == "closed"
    (again,) = at_work([late.device], house.operator)
    assert again.assignment["assignment_id"] != late.assignment["assignment_id"]
    others = [player for player in players if player is not late]
    play(others)
    assert house.operator.task(task_id)["reported"] == 4


def test_a_group_is_closed_once_the_first_has_waited_long_enough(house: House) -> None:
    task_id, players = begin(house, 6, goal=8, group_target=8)
    play(players)
    assert house.operator.task(task_id)["waiting_for_group"] == 6
    house.clock(30.0)
    assert groups_of(house, task_id)[0]["size"] == 6


def test_a_group_is_closed_at_once_where_nobody_else_can_come(house: House) -> None:
    task_id, players = begin(house, 6, goal=6, group_target=8)
    play(players[:5])
    assert groups_of(house, task_id) == []
    play(players)
    check_mean(house.operator, task_id, players)


def test_a_device_that_gives_up_is_waited_for_by_nobody(house: House) -> None:
    task_id, players = begin(house, 6, goal=6, group_target=8)
    play(players[:5])
    assert players[5].device.fail(players[5].assignment).status_code == 204
    house.clock(30.0)
    play(players[:5])
    check_mean(house.operator, task_id, players[:5])


def test_a_deadline_waits_for_groups_that_are_at_work(house: House) -> None:
    task_id, players = begin(house, deadline_seconds=10.0)
    play(players, until="agree")
    house.clock(11.0)
    assert house.operator.task(task_id)["phase"] == "collecting"
    play(players)
    check_mean(house.operator, task_id, players)


def test_a_round_ends_where_its_sums_are_enough_and_no_other_group_can_come(house: House) -> None:
    """Nobody can take the place of one that was lost: waiting for the deadline would bring nothing."""
    task_id, players = begin(house)
    play(players, lost={2: "mask"}, pass_time=ticking(house))
    check_mean(house.operator, task_id, [player for player in players if player.number != 2])
    assert house.operator.task(task_id)["round"] == 2


@pytest.mark.parametrize("until", ["share", "reveal"])
@pytest.mark.parametrize("verb", ["cancel", "rollback"])
def test_what_an_operator_ends_leaves_nothing_that_devices_sent(house: House, verb: str, until: str) -> None:
    task_id, players = begin(house)
    play(players, until=until)
    house.operator.call("POST", f"/tasks/{task_id}/{verb}", json={"to_round": 0} if verb == "rollback" else None)
    assert {player.step().step for player in players} == {"closed"}
    assert private_blobs(house) == []
    if verb == "rollback":
        play(at_work([player.device for player in players], house.operator))
        assert house.operator.rounds(task_id)[1]["phase"] == "committed"
    else:
        house.operator.call("POST", f"/tasks/{task_id}/delete")


def test_who_has_masked_is_not_asked_again_before_the_sum_is_there(house: House) -> None:
    """One is lost and its slot is free: those whose update is in the group already must not train for it."""
    _, players = begin(house)
    play(players, lost={5: "mask"}, until="reveal", pass_time=ticking(house))
    assert [wait_reason(player) for player in players[:4]] == ["reported"] * 4
