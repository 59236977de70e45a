"""A device whose groups' sums are left out again and again is asked for no more."""

from collections import Counter
from collections.abc import Sequence

import pytest
import sqlalchemy as sa

from fedrela.coordinator.access import leaving
from fedrela.coordinator.secure import set_aside
from fedrela.coordinator.storage import secure_schema
from fedrela.core.privacy import SECURE_FEATURE
from tests.coordinator import fleet
from tests.coordinator.conftest import House
from tests.coordinator.secure.players import Player, at_work, play, secure_task

DEADLINE_SECONDS = 1000.0


class Rounds:
    """Plays one round after the other to its deadline, with these devices."""

    def __init__(self, house: House, devices: Sequence[fleet.Device]) -> None:
        self.house, self.devices, self.number = house, devices, 0

    def play(self, *liars: fleet.Device) -> list[Player]:
        """One round, in which the sums of these devices' groups can't be right; who took part."""
        players = at_work(self.devices, self.house.operator)
        for player in players:
            player.hostile_words = 2**29 if player.device in liars else 0
        play(players)
        self.number += 1
        self.house.clock(self.number * (DEADLINE_SECONDS + 1))
        return players


def answer(device: fleet.Device) -> str:
    """Why a device isn't wanted; empty where it is."""
    waits = device.check_in(features=(SECURE_FEATURE,))["wait"]
    return str(waits["reason"]) if waits else ""


def outcomes(house: House) -> dict[str, str]:
    """What is noted of devices."""
    with house.coordinator.store.read() as view:
        table = secure_schema.outcomes
        return {row.device_id: row.newest for row in view.execute(sa.select(table.c.device_id, table.c.newest))}


def test_whoever_was_in_three_left_out_sums_is_set_aside_and_shown(house: House) -> None:
    devices = house.devices(10)
    task_id = house.operator.publish(house.bundle, secure_task(9, goal=10))
    rounds, liar, left_out = Rounds(house, devices), devices[0], Counter[str]()
    for _ in range(set_aside.LEFT_OUT):
        assert house.operator.task(task_id)["set_aside"] == []
        players = rounds.play(liar)
        (of_liar,) = [player.member for player in players if player.device is liar]
        assert of_liar is not None
        assert of_liar.roster is not None
        members = {member.assignment_id for member in of_liar.roster.members}
        left_out.update(one.device.device_id for one in players if one.assignment["assignment_id"] in members)
    due = sorted(device_id for device_id, times in left_out.items() if times == set_aside.LEFT_OUT)
    assert liar.device_id in due
    assert house.operator.task(task_id)["set_aside"] == due
    assert answer(liar) == "set-aside"
    assert {answer(device) for device in devices if device.device_id not in due} == {""}


def test_nobody_is_set_aside_where_no_group_would_be_left(house: House) -> None:
    devices = house.devices(6)
    task_id = house.operator.publish(house.bundle, secure_task(9))
    rounds = Rounds(house, devices[:5])
    for _ in range(set_aside.LEFT_OUT):
        rounds.play(devices[0])
    assert house.operator.task(task_id)["set_aside"] == []
    assert {answer(device) for device in devices[:5]} == {""}


def test_what_was_long_ago_is_forgiven(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(set_aside, "LEFT_OUT", 2)
    monkeypatch.setattr(set_aside, "REMEMBERED", 2)
    devices = house.devices(12)
    task_id = house.operator.publish(house.bundle, secure_task(20))
    rounds, ours = Rounds(house, devices[:5]), {device.device_id for device in devices[:5]}
    for noted, *liars in (("d", devices[0]), ("ds",), ("sd", devices[1]), ("ds",)):
        rounds.play(*liars)
        assert outcomes(house) == dict.fromkeys(ours, noted)
    assert house.operator.task(task_id)["set_aside"] == []
    rounds.play()
    assert outcomes(house) == {}


def test_nothing_is_left_of_a_device_that_is_forgotten(any_house: House) -> None:
    house, devices = any_house, any_house.devices(5)
    house.operator.publish(house.bundle, secure_task(9))
    Rounds(house, devices).play(devices[0])
    gone = devices[1].device_id
    assert gone in outcomes(house)
    leaving.forget_device(house.coordinator, gone, house.coordinator.store.now())
    assert gone not in outcomes(house)
    assert len(outcomes(house)) == 4
