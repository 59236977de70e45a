"""Whenever the coordinator is stopped or killed, what it acknowledged is there, and the result has the same bits."""

from pathlib import Path

import httpx

from tests.coordinator import fleet
from tests.coordinator.conftest import KEY, Server, house_with, settings_for, wait_for
from tests.coordinator.secure.players import STEPS, Player, at_work, begin, check_mean, play, secure_task
from tests.patience import PATIENCE_SECONDS


def test_a_restart_between_any_two_messages_changes_nothing(
    tmp_path: Path, any_database: str, bundle_folder: Path
) -> None:
    settings = settings_for(tmp_path / "data", database_url=any_database)
    with house_with(settings, bundle_folder) as house:
        task_id, players = begin(house)
    for step in STEPS[1:]:
        with house_with(settings, bundle_folder) as house:
            move(players, house.http)
            play(players, until=step)
    with house_with(settings, bundle_folder) as house:
        move(players, house.http)
        play(players)
        check_mean(house.operator, task_id, players)


def move(players: list[Player], http: object) -> None:
    """From now on they reach the coordinator by another client."""
    for player in players:
        player.device.http = http


def test_kill_9_in_every_phase(server: Server, bundle_folder: Path) -> None:
    """What was answered is there; and what is sent again, as if nobody had read the answer, counts once."""
    server.start()
    with server.http() as http:
        operator = fleet.Operator(http, KEY)
        task_id = operator.publish(bundle_folder, secure_task(1))
        token = operator.link(5)
        players = at_work([fleet.enroll(http, token) for _ in range(5)], operator)
        killed: set[str] = set()

        def kill(step: str) -> None:
            if step in killed:
                return
            killed.add(step)
            server.kill()
            server.start()
            repeat_last(players)

        play(players, between=kill)
        assert killed == set(STEPS)
        wait_for(lambda: operator.task(task_id)["status"] == "finished")
        check_mean(operator, task_id, players)


def repeat_last(players: list[Player]) -> None:
    """Each sends its last message again."""
    for player in players:
        if player.sent:
            what, content = player.sent[-1]
            assert (
                player.device.http.put(player.path(what), content=content, auth=player.device.auth).status_code == 204
            )
        if player.body:
            assert player.device.upload(player.assignment, player.body).status_code == 200


def test_two_workers_share_a_round(server: Server, bundle_folder: Path) -> None:
    server.workers = 2
    server.start()
    with httpx.Client(base_url=server.url, headers={"Connection": "close"}, timeout=PATIENCE_SECONDS) as http:
        operator = fleet.Operator(http, KEY)
        task_id = operator.publish(bundle_folder, secure_task(1, goal=10))
        token = operator.link(10)
        players = at_work([fleet.enroll(http, token) for _ in range(10)], operator)
        play(players)
        wait_for(lambda: operator.task(task_id)["status"] == "finished")
        assert operator.rounds(task_id)[0]["updates"] == 10
