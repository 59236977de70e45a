"""The coordinator's time: one for all processes, moved by no machine's clock; open deadlines follow what moves it."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from fedrela.coordinator.storage import clock as clocks
from fedrela.coordinator.storage import schema
from fedrela.coordinator.storage.clock import BEAT_SECONDS, JUMP_SECONDS, Machine, RealClock
from fedrela.coordinator.storage.store import Database
from tests.coordinator.conftest import House, house_with, settings_for

HOUR, DAY = 3600.0, 86400.0


@dataclass
class Hands:
    """A machine whose clocks a test sets."""

    wall_seconds: float = 1e9
    monotonic_seconds: float = 1000.0
    boot: str = "first"

    def machine(self) -> Machine:
        """As the coordinator sees it."""
        return Machine(lambda: self.wall_seconds, lambda: self.monotonic_seconds, self.boot)

    def pass_time(self, seconds: float) -> None:
        """Both clocks go on."""
        self.wall_seconds += seconds
        self.monotonic_seconds += seconds


@pytest.fixture
def database(any_database: str) -> Iterator[Database]:
    """An open database of each kind, on whose own clock nothing depends: `virtual_clock` starts none."""
    database = Database(any_database, virtual_clock=True)
    yield database
    database.close()


def started(database: Database, hands: Hands, *, sqlite: bool = True) -> RealClock:
    """The clock of a process that starts now."""
    clock = RealClock(sqlite=sqlite, machine=hands.machine())
    with database.write() as tx:
        clock.start(tx)
    return clock


@pytest.mark.parametrize("jump", [-HOUR, HOUR, DAY, -DAY])
def test_a_jump_of_the_machine_s_clock_moves_no_time_and_is_said_once(
    database: Database, jump: float, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("fedrela"), "propagate", True)
    hands = Hands()
    clock = started(database, hands)
    assert clock.now() == 1e9
    hands.pass_time(10)
    hands.wall_seconds += jump
    for _ in range(3):
        clock.beat(database.write)
        hands.pass_time(1)
    assert clock.now() == 1e9 + 13
    assert clock.skew_seconds == jump
    said = {id(record): record for record in caplog.records if "differ" in record.getMessage()}
    (record,) = said.values()  # which the handler of two loggers may have caught
    assert vars(record)["ahead_seconds"] == jump


def test_a_process_that_starts_beside_others_goes_by_their_time(database: Database) -> None:
    hands = Hands()
    first = started(database, hands)
    hands.pass_time(BEAT_SECONDS + 1)
    first.beat(database.write)
    hands.pass_time(5)
    hands.wall_seconds += DAY
    second = started(database, hands)
    assert second.now() == first.now() == 1e9 + BEAT_SECONDS + 6
    assert second.skew_seconds == DAY


def test_time_never_goes_below_what_is_stored(database: Database) -> None:
    hands = Hands(boot="")
    started(database, hands)
    with database.write() as tx:
        tx.execute(sa.insert(schema.tokens).values(_token(1e9 + 500.0, 1e9 + HOUR)))
    hands.pass_time(20)
    hands.wall_seconds -= DAY
    hands.monotonic_seconds = 3.0  # the machine started anew, with its clock a day behind
    assert started(database, hands).now() == 1e9 + 500.0


def test_where_the_clock_was_set_between_two_starts_what_was_open_keeps_its_time(database: Database) -> None:
    hands = Hands()
    before = started(database, hands)
    left = 1000.0
    with database.write() as tx:
        tx.execute(sa.insert(schema.tokens).values(_token(before.now(), before.now() + left)))
        tx.execute(sa.insert(schema.tokens).values(_token(before.now() - DAY, before.now() - HOUR, "expired")))
    hands.pass_time(HOUR / 6)
    hands.wall_seconds += DAY
    after = started(database, hands)
    assert after.now() == 1e9 + HOUR / 6 + DAY
    with database.read() as view:
        expiry = {row.id: row.expires_at for row in view.execute(sa.select(schema.tokens))}
    assert expiry["open"] - after.now() == pytest.approx(left - HOUR / 6)
    assert expiry["expired"] < after.now()


@pytest.mark.parametrize("jump", [-HOUR, HOUR, DAY])
def test_on_postgresql_the_server_s_time_counts_and_its_jump_is_followed_once(
    database: Database, jump: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, here, there = Hands(), Hands(wall_seconds=1e9 + HOUR, monotonic_seconds=7.0), Hands(monotonic_seconds=50.0)

    def let_pass(seconds: float) -> None:
        for hands in (server, here, there):
            hands.pass_time(seconds)
        monkeypatch.setattr(clocks, "_DATABASE_TIME", sa.select(sa.literal(server.wall_seconds)))

    let_pass(0)
    one, two = started(database, here, sqlite=False), started(database, there, sqlite=False)
    assert one.now() == two.now() == 1e9
    assert (one.skew_seconds, two.skew_seconds) == (HOUR, 0.0)  # noticed: one machine is an hour ahead
    with database.write() as tx:
        tx.execute(sa.insert(schema.tokens).values(_token(1e9, 1e9 + DAY)))
    server.wall_seconds += jump
    let_pass(BEAT_SECONDS)
    for clock in (one, two, one):
        clock.beat(database.write)
    let_pass(BEAT_SECONDS)
    for clock in (two, one):
        clock.beat(database.write)
    assert one.now() == two.now() == server.wall_seconds
    with database.read() as view:
        assert view.scalar(sa.select(schema.tokens.c.expires_at)) == 1e9 + DAY + jump


def test_a_small_step_back_of_the_server_stops_time_and_no_more(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    hands = Hands()
    monkeypatch.setattr(clocks, "_DATABASE_TIME", sa.select(sa.literal(1e9)))
    clock = started(database, hands, sqlite=False)
    hands.pass_time(BEAT_SECONDS)
    before = clock.now()
    monkeypatch.setattr(clocks, "_DATABASE_TIME", sa.select(sa.literal(before - JUMP_SECONDS / 2)))
    clock.beat(database.write)
    assert clock.now() == before


def test_a_lease_and_a_deadline_are_shifted_with_the_time(house: House) -> None:
    house.publish(1, goal=2)
    (device,) = house.devices(1)
    device.join()
    tables = (schema.assignments.c["compute_until", "expires_at"], (schema.rounds.c.deadline_at,))

    def stored() -> list[float]:
        with house.coordinator.store.read() as view:
            return [float(value) for columns in tables for value in view.execute(sa.select(*columns)).one()]

    before = stored()
    with house.coordinator.store.write() as tx:
        clocks.shift_deadlines(tx, -HOUR, 0.0)
    assert stored() == [value - HOUR for value in before]


def test_the_dashboard_says_that_a_machine_s_clock_differs(tmp_path: Path, bundle_folder: Path) -> None:
    with house_with(settings_for(tmp_path / "data", virtual_clock=False), bundle_folder) as house:
        house.http.post("/login", data={"admin_key": house.operator.key})
        assert "clock is" not in house.http.get("/").text
        house.coordinator.store.clock._offset -= HOUR
        house.coordinator.store.clock._newest = 0.0
        house.coordinator.store.clock.beat(house.coordinator.store.write)
        assert "clock is 3600 seconds ahead of the coordinator's time" in house.http.get("/").text
        metrics = house.http.get("/metrics", headers=house.operator.headers).text
        assert "fedrela_clock_skew_seconds 36" in metrics or "fedrela_clock_skew_seconds 35" in metrics


def _token(created_at: float, expires_at: float, name: str = "open") -> dict[str, object]:
    base = {"id": name, "token_hash": name, "population": "p", "max_uses": 1, "uses": 0}
    return base | {"created_at": created_at, "expires_at": expires_at}
