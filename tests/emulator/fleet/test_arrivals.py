"""Who comes when: the same for the same scenario, nobody twice in a round, and nobody who sleeps."""

from fedrela.emulator.fleet.arrivals import Arrivals
from fedrela.emulator.fleet.messages import Done
from fedrela.emulator.fleet.profiles import DeviceProfiles
from fedrela.emulator.scenario import from_toml

NIGHT = '[[device]]\nname = "phone"\nawake = "22:00-06:00"\n'


def arrivals(extra="", devices=20):
    scenario = from_toml(f'name = "a"\ndevices = {devices}\nstart_hour_utc = 12\n{extra}')
    return Arrivals(scenario, DeviceProfiles(scenario))


def woken(visits, count, **arguments):
    settings = {"round_number": 1, "now": 100.0, "away": ()} | arguments
    return [device for device, _ in visits.wave(count, **settings)]


def test_a_round_wakes_each_device_once_and_the_next_round_others_first():
    visits = arrivals()
    first, second = woken(visits, 12), woken(visits, 12)
    assert sorted(first + second) == list(range(20))
    assert woken(visits, 1) == []
    assert woken(visits, 20, round_number=2) != first + second
    visits.start_over()
    assert len(woken(visits, 20, round_number=2)) == 20


def test_whoever_is_away_is_left_alone():
    assert set(woken(arrivals(), 20, away={3, 4})) == set(range(20)) - {3, 4}


def test_arrivals_are_spread_and_follow_from_the_seed():
    times = [t for _, t in arrivals("[wake]\nspread_seconds = 30\n").wave(9, round_number=1, now=100.0, away=())]
    assert all(100 <= t < 130 for t in times)
    assert len(set(times)) == 9
    assert times == [
        t for _, t in arrivals("[wake]\nspread_seconds = 30\n").wave(9, round_number=1, now=100.0, away=())
    ]


def test_nobody_is_woken_by_day_and_everybody_by_night():
    assert woken(arrivals(NIGHT), 20) == []
    assert len(woken(arrivals(NIGHT), 20, now=11 * 3600.0)) == 20


def test_devices_that_poll_wait_for_the_night_and_for_the_coordinator():
    visits = arrivals('[wake]\nmode = "poll"\npoll_seconds = 60\nspread_seconds = 10\n' + NIGHT)
    assert {t for _, t in visits.first_visits()} == {10 * 3600.0}
    waiting = Done(0, 11 * 3600.0, "waiting", "round-full", 900.0, ())
    assert visits.next_visit(waiting, 1, 50.0) == 11 * 3600.0 + 900
    dropped = Done(0, 11 * 3600.0, "drop-out", "", 0.0, ())
    assert visits.next_visit(dropped, 1, 5000.0) == 11 * 3600.0 + 5000
