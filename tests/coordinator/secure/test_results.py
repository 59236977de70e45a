"""What sums carry beside updates, sums that are left out, members that lie, robust rules, statistics."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fedrela.conformance.secure.sessions import wrong
from fedrela.core import signing
from fedrela.core.aggregation import outliers
from fedrela.core.secure import member, secure_tasks
from fedrela.core.secure.fixed_point import Extras
from fedrela.core.task import Aggregation, Rounds
from tests.coordinator import fleet
from tests.coordinator.conftest import House, house_with, settings_for
from tests.coordinator.secure.players import (
    Player,
    accepted,
    at_work,
    begin,
    change_of,
    check_mean,
    mean_of,
    play,
    private_blobs,
    secure_task,
    ticking,
)

SHAPES = {"w": (3, 2), "mean": (2,), "variance": (2,)}
EVALUATED = Extras(1.0, eval_loss=8.0, eval_correct=24, eval_examples=32)
WEIGHT, CORRECT, EXAMPLES = 0, 3, 4  # the places of these extras


def words_at(player: Player, added: Mapping[int, int]) -> NDArray[np.int64]:
    """What a hostile member adds to these extras, and to nothing else."""
    layout = secure_tasks.layout(player.task, player.manifest, player.assignment["clip_millionths"])
    words = np.zeros(layout.size, np.int64)
    for place, word in added.items():
        words[sum(block.size for block in layout.blocks) + place] = word
    return words


@pytest.fixture
def counting_house(tmp_path: Path) -> Iterator[House]:
    """A coordinator and a model with statistics, one of which may not go below zero."""
    fleet.make_bundle(tmp_path / "bundle", SHAPES, {"mean": None, "variance": 0.0})
    with house_with(settings_for(tmp_path / "data"), tmp_path / "bundle") as house:
        yield house


def test_evaluations_are_summed_and_no_single_one_is_known(house: House) -> None:
    task_id, players = begin(house, 7, goal=7, group_target=7)
    for player in players[:5]:
        player.extras = EVALUATED
    play(players)
    evaluation = house.operator.rounds(task_id)[0]["evaluation"]
    assert evaluation["examples"] == 160
    assert evaluation["accuracy"] == 0.75
    assert abs(evaluation["loss"] - 0.25) < 1e-3


@pytest.mark.parametrize("count", [1, 4])
def test_an_evaluation_of_few_devices_is_not_taken_and_the_round_is(house: House, count: int) -> None:
    task_id, players = begin(house)
    for player in players[:count]:
        player.extras = EVALUATED
    play(players)
    check_mean(house.operator, task_id, players)
    assert house.operator.rounds(task_id)[0]["evaluation"] is None


@pytest.mark.parametrize(("honest", "correct", "examples"), [(0, 190, 1), (5, 41, 0), (5, 0, -1)])
def test_an_impossible_evaluation_is_not_taken_and_the_round_is(
    house: House, honest: int, correct: int, examples: int
) -> None:
    """What one of six adds to the evaluations of so many, of which three quarters are correct."""
    task_id, players = begin(house, 6, goal=6, group_target=6)
    for player in players[:honest]:
        player.extras = EVALUATED
    players[5].hostile_words = words_at(players[5], {CORRECT: correct, EXAMPLES: examples})
    play(players)
    check_mean(house.operator, task_id, players)
    assert house.operator.rounds(task_id)[0]["evaluation"] is None


@pytest.mark.parametrize("added", [-1, 1, "nearly all"])
def test_where_devices_weigh_the_same_no_member_s_weight_moves_the_mean(house: House, added: int | str) -> None:
    task_id, players = begin(house)
    unit = secure_tasks.layout(players[0].task, players[0].manifest, 0).step(1.0)
    added = added if isinstance(added, int) else 1 - round(5 / unit)  # one unit is left
    players[0].hostile_words = words_at(players[0], {WEIGHT: added})
    play(players)
    (group,) = house.operator.rounds(task_id)[0]["groups"]
    assert (group["phase"], group["reason"]) == ("dropped", "sum-out-of-bounds")


@pytest.mark.parametrize(("share_left", "phase"), [(0.98, "summed"), (0.45, "dropped"), (0.005, "dropped")])
def test_where_they_do_not_the_mean_s_norm_is_bounded_from_the_first_group_on(
    house: House, share_left: float, phase: str
) -> None:
    """Five devices with a norm of half the clipping norm: half of their weight is what a liar can take from it."""
    task = replace(secure_task(clip_norm=2.0), aggregation=Aggregation(max_examples=100))
    task_id = house.operator.publish(house.bundle, task)
    players = at_work(house.devices(5), house.operator)
    layout = secure_tasks.layout(players[0].task, players[0].manifest, 0)
    for player in players:
        player.change = fleet.change(1.0)
        norm = np.sqrt(sum(float(np.sum(np.square(array))) for array in player.change.values()))
        player.change = {name: array / np.float32(norm) for name, array in player.change.items()}
    taken = round(5 * (1 - share_left) / layout.step(1.0))
    players[0].hostile_words = words_at(players[0], {WEIGHT: -taken})
    play(players)
    (group,) = house.operator.rounds(task_id)[0]["groups"]
    assert group["phase"] == phase


def test_weights_by_examples_travel_in_the_sum(house: House) -> None:
    task = replace(secure_task(), aggregation=Aggregation(max_examples=100))
    task_id = house.operator.publish(house.bundle, task)
    players = at_work(house.devices(5), house.operator)
    shares = [0.1, 0.5, 1.0, 1.0, 0.3]
    for player, share in zip(players, shares, strict=True):
        player.extras = Extras(share)
    play(players)
    weights = house.operator.weights(house.operator.rounds(task_id)[0]["checkpoint_sha256"])
    for name in weights:
        expected = sum(p.change[name] * w for p, w in zip(players, shares, strict=True)) / sum(shares)
        assert np.abs(weights[name] - expected).max() < 1e-4


def test_a_member_that_reveals_wrong_shares_is_named_and_the_sum_is_right(house: House) -> None:
    task_id, players = begin(house, 7, goal=7, group_target=7)
    play(players, until="reveal")
    liar = players[2]
    agreements = liar.step().agreements
    assert liar.member is not None
    assert agreements is not None
    liar.member, reveal = member.reveal(liar.member, agreements)
    accepted(liar.put("reveal", wrong(reveal)))
    play(players)
    check_mean(house.operator, task_id, players)
    (group,) = house.operator.rounds(task_id)[0]["groups"]
    assert group["suspects"] == [liar.device.device_id]


def test_a_liar_too_many_ends_the_group_without_a_sum(house: House) -> None:
    task_id, players = begin(house)
    play(players, until="reveal")
    for byte, player in enumerate(players[:2]):
        agreements = player.step().agreements
        assert player.member is not None
        assert agreements is not None
        player.member, reveal = member.reveal(player.member, agreements)
        accepted(player.put("reveal", wrong(reveal, byte)))
    play(players, pass_time=ticking(house))
    (group,) = house.operator.rounds(task_id)[0]["groups"]
    assert (group["phase"], group["reason"]) == ("failed", "not-opened")
    assert private_blobs(house) == []


def test_a_sum_that_no_honest_members_reach_is_left_out_and_its_group_named(house: House) -> None:
    task_id, players = begin(house)
    players[0].hostile_words = 2**29
    play(players)
    (group,) = house.operator.rounds(task_id)[0]["groups"]
    assert (group["phase"], group["reason"]) == ("dropped", "sum-out-of-bounds")
    assert house.operator.rounds(task_id)[0]["failures"] == {"sum-out-of-bounds": 5}
    house.clock(1000.0)
    assert house.operator.rounds(task_id)[0]["phase"] == "skipped"


def test_a_group_whose_mean_is_far_larger_than_others_were_is_left_out(house: House) -> None:
    task_id, players = begin(house, rounds=9)
    for number in range(outliers.ENOUGH_GROUPS + 1):
        if number:
            players = at_work([player.device for player in players], house.operator)
        for player in players:
            player.change = {name: array * 0.01 for name, array in change_of(player.number).items()}
        if number == outliers.ENOUGH_GROUPS:
            for player in players:
                player.change = {name: array * 4.0 for name, array in player.change.items()}
        play(players)
    phases = [[group["phase"] for group in record["groups"]] for record in house.operator.rounds(task_id)]
    assert phases == [["summed"]] * outliers.ENOUGH_GROUPS + [["dropped"]]


def test_a_fleet_that_moves_further_than_ever_loses_one_round_and_goes_on(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outliers, "ENOUGH_GROUPS", 1)
    task_id, players = begin(house, rounds=9)
    for number, size in enumerate((0.01, 0.1, 0.1)):
        if number:
            players = at_work([player.device for player in players], house.operator)
        for player in players:
            player.change = {name: array * size for name, array in change_of(player.number).items()}
        play(players)
        house.clock(1001.0 * (number + 1))
    rounds = house.operator.rounds(task_id)[:3]
    assert [record["phase"] for record in rounds] == ["committed", "skipped", "committed"]
    assert [record["groups"][0]["phase"] for record in rounds] == ["summed", "dropped", "summed"]


def test_a_robust_rule_works_on_the_means_of_groups(house: House) -> None:
    settings = Rounds(goal=30, minimum=28, smallest_cohort=5, deadline_seconds=1000)
    task = replace(secure_task(1), round=settings, aggregation=Aggregation(rule="median", weight_by_examples=False))
    task_id = house.operator.publish(house.bundle, task)
    players = at_work(house.devices(30), house.operator)
    for rank, player in enumerate(players):  # the first five come first, and are a group
        player.change = fleet.change(6.0 if rank < 5 else 0.25)
    play(players)
    (record,) = house.operator.rounds(task_id)
    assert (record["phase"], record["updates"], len(record["groups"])) == ("committed", 30, 6)
    assert np.abs(house.operator.weights(record["checkpoint_sha256"])["b"] - 0.25).max() < 1e-4


def test_statistics_are_averaged_in_a_block_of_their_own(counting_house: House) -> None:
    house = counting_house
    task_id, players = begin(house)
    for player in players:
        player.change = change_of(player.number, SHAPES)
        player.change["mean"] = np.array([300.0, -200.0], np.float32)  # far above what parameters are clipped to
        player.change["variance"] = np.array([-1.0, -1.0], np.float32)  # all the way to the lowest value
    play(players)
    first = house.operator.rounds(task_id)[0]
    assert first["phase"] == "committed"
    weights, expected = house.operator.weights(first["checkpoint_sha256"]), mean_of(players)
    assert np.abs(weights["w"] - expected["w"]).max() < 1e-4
    assert np.abs(weights["mean"] - 1.0 - expected["mean"]).max() < 1e-2
    assert (weights["variance"] >= 0.0).all()
    assert weights["variance"].max() < 1e-2


def test_every_device_is_its_own_member(house: House) -> None:
    _, players = begin(house)
    play(players, until="share")
    roster = players[0].step().roster
    assert roster is not None
    assert {one.identity_key for one in roster.members} == {
        signing.public_key(player.device.private_key) for player in players
    }
