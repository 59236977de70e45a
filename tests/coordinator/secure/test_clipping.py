"""The clipping norm of a round follows the devices in its sums; it is the task's, and goes where its rounds go."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedrela.core.aggregation import outliers
from fedrela.core.secure import secure_tasks
from tests.coordinator.conftest import House, house_with, settings_for
from tests.coordinator.secure.players import Player, at_work, begin, change_of, check_mean, play, ticking

ADAPTIVE: dict[str, Any] = {"clip_norm": 2.0, "clipped_share": 0.1}


def sized(players: list[Player], norms: list[float]) -> None:
    """Let updates have these L2 norms."""
    for player, norm in zip(players, norms, strict=True):
        change = change_of(player.number)
        length = np.sqrt(sum(float(np.sum(np.square(array, dtype=np.float64))) for array in change.values()))
        player.change = {name: (array * (norm / length)).astype(np.float32) for name, array in change.items()}


def next_round(house: House, players: list[Player], norms: list[float]) -> list[Player]:
    """The same devices in the next round."""
    again = at_work([player.device for player in players], house.operator)
    sized(again, norms)
    return again


def clips(house: House, task_id: str) -> list[int]:
    """Of every round so far, in millionths."""
    return [record["clip_millionths"] for record in house.operator.rounds(task_id)]


def test_it_follows_whoever_was_clipped_and_is_kept_over_a_restart(
    tmp_path: Path, any_database: str, bundle_folder: Path
) -> None:
    settings = settings_for(tmp_path / "data", database_url=any_database)
    with house_with(settings, bundle_folder) as house:
        task_id, players = begin(house, rounds=9, **ADAPTIVE)
        sized(players, [1.0] * 5)
        play(players)
        assert clips(house, task_id) == [2_000_000, 1_800_000]  # nobody was clipped: 0.9 times
        players = next_round(house, players, [1.0, 1.0, 1.0, 1.9, 1.9])
        play(players, until="mask")
    with house_with(settings, bundle_folder) as house:
        for player in players:
            player.device.http = house.http
        assert {player.assignment["clip_millionths"] for player in players} == {1_800_000}
        play(players)
        assert clips(house, task_id) == [2_000_000, 1_800_000, 2_340_000]  # two of five: 1.3 times
        assert [one["clipped"] for record in house.operator.rounds(task_id) for one in record["groups"]] == [0, 2]
        check_mean(house.operator, task_id, next_round(house, players, [1.0] * 5))  # of the first round


def test_a_device_that_asks_again_is_told_the_same(house: House) -> None:
    _, players = begin(house, **ADAPTIVE)
    again = players[0].device.check_in(features=("secure-1",))["assignment"]
    assert again["clip_millionths"] == players[0].assignment["clip_millionths"] == 2_000_000


def test_a_task_with_one_norm_for_all_rounds_names_none(house: House) -> None:
    task_id, players = begin(house, clip_norm=2.0)
    sized(players, [9.0] * 5)
    play(players)
    assert clips(house, task_id) == [0, 0]


def test_what_was_too_small_a_norm_makes_no_outliers_as_it_grows(house: House) -> None:
    task_id, players = begin(house, rounds=9, clip_norm=0.5, clipped_share=0.1)
    for number in range(outliers.ENOUGH_GROUPS + 2):
        players = next_round(house, players, [20.0] * 5) if number else players
        sized(players, [20.0] * 5)
        play(players)
    records = house.operator.rounds(task_id)[:-1]
    assert [record["phase"] for record in records] == ["committed"] * (outliers.ENOUGH_GROUPS + 2)
    assert clips(house, task_id)[-1] > 40 * 500_000


def test_a_skipped_round_leaves_it_and_a_rollback_begins_anew(house: House) -> None:
    task_id, players = begin(house, rounds=9, **ADAPTIVE)
    sized(players, [1.0] * 5)
    play(players)
    players = next_round(house, players, [1.0] * 5)
    play(players, lost={1: "mask", 2: "mask"}, pass_time=ticking(house))
    house.clock(2000.0)
    assert house.operator.rounds(task_id)[1]["phase"] == "skipped"
    assert clips(house, task_id) == [2_000_000, 1_800_000, 1_800_000]
    house.operator.call("POST", f"/tasks/{task_id}/rollback", json={"to_round": 1})
    assert clips(house, task_id)[-1] == 2_000_000


@pytest.mark.parametrize("claimed", [-1, 6])
def test_a_member_that_claims_what_no_group_can_have_spoils_its_sum_and_no_norm(house: House, claimed: int) -> None:
    task_id, players = begin(house, **ADAPTIVE)
    sized(players, [1.0] * 5)
    layout = secure_tasks.layout(players[0].task, players[0].manifest, players[0].assignment["clip_millionths"])
    place = sum(block.size for block in layout.blocks) + 1  # of how many were clipped, behind the weight
    players[0].hostile_words = claimed * (np.arange(layout.size) == place)
    play(players)
    (group,) = house.operator.rounds(task_id)[0]["groups"]
    assert (group["phase"], group["reason"]) == ("dropped", "sum-out-of-bounds")
    assert clips(house, task_id) == [2_000_000]
