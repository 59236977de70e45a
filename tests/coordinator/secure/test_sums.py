"""The sum of a group is what plain aggregation gives, whoever is lost and wherever, and nothing else stays."""

import numpy as np
import pytest
import sqlalchemy as sa

from fedrela.coordinator.storage import schema, secure_schema
from tests.coordinator import fleet
from tests.coordinator.conftest import House
from tests.coordinator.secure.players import (
    at_work,
    begin,
    bound,
    check_mean,
    mean_of,
    play,
    private_blobs,
    secure_task,
    ticking,
)


def test_the_model_is_the_mean_and_nothing_else_is_kept(any_house: House) -> None:
    task_id, players = begin(any_house)
    play(players)
    check_mean(any_house.operator, task_id, players)
    assert [player.step().step for player in players] == ["done"] * 5
    assert private_blobs(any_house) == []
    with any_house.coordinator.store.read() as view:
        assert view.scalar(sa.select(sa.func.count()).select_from(secure_schema.members)) == 0
        assert set(view.scalars(sa.select(schema.assignments.c.status))) == {"reported"}
        rounds = view.execute(sa.select(schema.rounds).order_by(schema.rounds.c.number)).all()
    assert (rounds[0].open, rounds[0].reported, rounds[1].open) == (0, 5, 0)


@pytest.mark.parametrize("step", ["share", "mask", "agree", "reveal"])
def test_one_that_vanishes_before_a_step_costs_no_more_than_itself(house: House, step: str) -> None:
    """Whoever has masked is in the sum: after that nobody needs it."""
    task_id, players = begin(house)
    play(players, lost={2: step}, pass_time=ticking(house))
    survivors = players if step in ("agree", "reveal") else [player for player in players if player.number != 2]
    check_mean(house.operator, task_id, survivors)


def test_loss_in_every_phase_at_once(house: House) -> None:
    task_id, players = begin(house, 13, goal=13, group_target=13)
    play(players, lost={1: "share", 4: "mask", 6: "agree", 8: "reveal"}, pass_time=ticking(house))
    check_mean(house.operator, task_id, [player for player in players if player.number not in (1, 4)])


def test_a_task_of_two_rounds_in_two_groups_ends(house: House) -> None:
    task_id, players = begin(house, 10, goal=10, rounds=2)
    play(players)
    check_mean(house.operator, task_id, players)
    again = at_work([player.device for player in players], house.operator)
    play(again)
    shown = house.operator.task(task_id)
    assert (shown["status"], shown["committed_rounds"]) == ("finished", 2)
    assert private_blobs(house) == []
    weights = house.operator.weights(shown["checkpoint_sha256"])
    for name, mean in mean_of(players).items():
        assert np.abs(weights[name] - 2 * mean).max() <= 2 * bound(players)


def test_how_devices_are_put_together_changes_no_bit(house: House) -> None:
    sha256s: set[str] = set()
    for _ in range(2):
        task_id, players = begin(house, 10, goal=10, rounds=1)
        play(players[::-1] if sha256s else players)
        sha256s.add(house.operator.task(task_id)["checkpoint_sha256"])
    assert len(sha256s) == 1


def test_a_plain_update_is_none_of_a_secure_task(house: House) -> None:
    _, players = begin(house)
    answer = players[0].device.upload(players[0].assignment, fleet.body(players[0].change))
    assert answer.status_code == 400


def test_a_client_that_does_not_know_secure_rounds_is_told_so(house: House) -> None:
    house.operator.publish(house.bundle, secure_task())
    (device,) = house.devices(1)
    assert device.check_in()["wait"]["reason"] == "version"
