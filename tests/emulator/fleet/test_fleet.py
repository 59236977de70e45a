"""Whole fleets of real clients against a real coordinator: faults, attackers, sleep and what they lead to."""

import dataclasses

import numpy as np
import pytest

from fedrela.emulator.fleet.fleet import EmulationFailed
from fedrela.emulator.scenario import DeviceClass, Faults, MaliciousClass, WakeSchedule, from_toml
from tests.emulator.small_fleet import SCENARIO, logs


def kinds(run):
    return {(event["event"], event.get("code", "")) for event in run.events}


def test_a_flaky_network_loses_nothing_and_counts_nothing_twice(emulate):
    faults = Faults(
        request_lost=0.1,
        response_lost=0.1,
        duplicated=0.1,
        truncated=0.1,
        unavailable=0.1,
        delayed=0.1,
        delay_seconds=2,
    )
    run = emulate(faults=faults)
    assert [result["updates"] for result in run.rounds[1:]] == [5] * 4
    assert logs(emulate(faults=faults)) == logs(run)


def test_crashed_devices_resume_and_drop_outs_cost_a_lease(emulate):
    run = emulate(faults=Faults(drop_out=0.2, crash=0.4, crash_seconds=5))
    assert {"crash", "drop-out", "update"} <= {kind for kind, _ in kinds(run)}
    assert run.rounds[-1]["round"] == 4
    assert run.summary["virtual_seconds"] > 40  # somebody's lease had to run out


def test_devices_that_leave_come_back_as_new_ones(emulate):
    faults = Faults(leave=0.5)
    run = emulate(faults=faults)
    left = [event["device"] for event in run.events if event["event"] == "leave"]
    joined = [event["device"] for event in run.events if event["event"] == "enrol"]
    assert joined
    assert set(joined) <= set(left)
    assert [result["updates"] for result in run.rounds[1:]] == [5] * 4
    assert logs(emulate(faults=faults)) == logs(run)


def test_what_attackers_send_is_refused_or_outvoted(emulate):
    attackers = (
        MaliciousClass("nan", 0.12),
        MaliciousClass("garbage", 0.12),
        MaliciousClass("lie-about-examples", 0.12, 1000.0),
    )
    run = emulate(malicious=attackers, round_={"goal": 4})
    refused = {code for kind, code in kinds(run) if kind != "wait" and code}
    assert refused, kinds(run)
    assert np.isfinite(run.summary["loss"])
    assert run.accuracy["overall"] > 0.5


def test_devices_that_poll_come_by_themselves_and_are_told_to_wait(emulate):
    run = emulate(wake=WakeSchedule("poll", spread_seconds=10, poll_seconds=20))
    assert ("wait", "round-full") in kinds(run)
    assert len(run.rounds) == 5
    run.assert_no_failures(allow=("turn-failed", "round-closed", "lease-expired"))


def test_old_clients_are_turned_away(emulate):
    old = DeviceClass("old", share=0.4, client_version="0.0.1")
    eligibility = dataclasses.replace(from_toml(SCENARIO).task.eligibility, min_client_versions={"any": "0.1"})
    run = emulate(device=(DeviceClass("new", share=0.6), old), task={"eligibility": eligibility}, round_={"goal": 3})
    assert ("wait", "version") in kinds(run)
    assert len(run.rounds) == 5


def test_a_fleet_that_sleeps_is_waited_for(emulate):
    night = DeviceClass("phone", awake="22:00-06:00")
    run = emulate(device=(night,), start_hour_utc=12.0)
    assert run.summary["virtual_seconds"] >= 10 * 3600
    assert run.summary["virtual_seconds"] < 11 * 3600


def test_a_round_that_nobody_can_finish_ends_the_run_with_the_reason(emulate):
    with pytest.raises(EmulationFailed, match="paused"):
        emulate(faults=Faults(drop_out=1.0), round_={"retries": 1})
    with pytest.raises(EmulationFailed, match="virtual hours"):
        emulate(device=(DeviceClass("owl", awake="01:00-01:05"),), start_hour_utc=2.0, max_hours=3.0)
