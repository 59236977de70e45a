"""Whole fleets of real clients against a real coordinator, on a bundle small enough to check by hand."""

import dataclasses
import json
from contextlib import suppress

import httpx
import numpy as np
import psutil
import pytest

from fedrela.core.errors import InvalidInput, VerificationFailed
from fedrela.emulator.fleet.fleet import EmulationFailed
from fedrela.emulator.results.replay import check
from fedrela.emulator.scenario import DeviceClass, Faults, Hostile, Wake, from_toml
from fedrela.emulator.workers.background import Beside
from fedrela.emulator.workers.ray_workers import RayWorkers
from tests.edge import softmax_bundle

SCENARIO = """
name = "small"
devices = 9
[data]
dataset = "small.npz"
imbalance = 4
alpha = 0.5
[task]
name = "small"
rounds = 4
[task.local]
epochs = 2
batch_size = 4
hyperparameters = { lr = 0.2, momentum = 0.5 }
[task.relabel]
start = 3
threshold_percent = 20
[task.round]
goal = 5
minimum = 2
deadline_seconds = 100
compute_lease_seconds = 40
upload_lease_seconds = 10
[[device]]
name = "quick"
speed_spread = 0.5
[[device]]
name = "slow"
share = 0.5
steps_per_second = 3
latency_seconds = 0.3
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The bundle, the data and the scenario, as a user would have them in a folder."""
    made = tmp_path_factory.mktemp("project")
    (made / "bundle").mkdir()
    softmax_bundle.write(made / "bundle")
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3), 60)
    x = rng.integers(0, 120, (180, 1, 4, 4), dtype=np.uint8)
    x[np.arange(180), 0, y, :] += 100
    np.savez(made / "small.npz", x=x, y=y)
    (made / "small.toml").write_text(SCENARIO)
    return made


@pytest.fixture
def emulate(fleet, folder):
    """Run the small scenario with changes; a `task` mapping changes its task."""

    def run(*, task=None, round_=None, **changes):
        scenario = from_toml(SCENARIO)
        task = dataclasses.replace(scenario.task, **(task or {}))
        task = dataclasses.replace(task, round=dataclasses.replace(task.round, **(round_ or {})))
        scenario = dataclasses.replace(scenario, task=task)
        data = dataclasses.replace(scenario.data, dataset=str(folder / "small.npz"), test_per_class=20)
        options = {key: changes.pop(key) for key in ("workers", "in_process", "engine") if key in changes}
        return fleet(scenario, bundle=folder / "bundle", data=data, **options, **changes)

    return run


def logs(run):
    return [(run.folder / name).read_bytes() for name in ("events.jsonl", "rounds.jsonl")]


def kinds(run):
    return {(event["event"], event.get("code", "")) for event in run.events}


def test_workers_and_transport_change_nothing(emulate):
    one = emulate(in_process=True)
    one.assert_no_failures()
    one.assert_learned(points=10)
    assert len(one.rounds) == 5
    assert sum(event["event"] == "update" for event in one.events) == 20
    for workers in (1, 2):  # "worker1" is as long as "default": messages have the same size
        other = emulate(in_process=False, workers=workers, task={"population": f"worker{workers}"})
        assert other.final_sha256 == one.final_sha256
        assert logs(other) == logs(one)


@pytest.mark.parametrize(("states_bytes", "most"), [(64_000_000, 8), (1, 2)])
def test_training_beside_changes_nothing_and_few_devices_train_at_once(emulate, monkeypatch, states_bytes, most):
    monkeypatch.setattr("fedrela.emulator.devices.world._STATES_BYTES", states_bytes)
    monkeypatch.setattr("fedrela.emulator.workers.background.worthwhile", lambda: False)
    one = emulate(in_process=True)
    under_way, begin = [], Beside.begin

    def counted(beside, work, ended):
        begin(beside, work, ended)
        under_way.append(beside.under_way)

    monkeypatch.setattr(Beside, "begin", counted)
    monkeypatch.setattr("fedrela.emulator.workers.background.worthwhile", lambda: True)
    other = emulate(in_process=True)
    assert other.final_sha256 == one.final_sha256
    assert logs(other) == logs(one)
    assert len(under_way) > 20  # at least a step of each of 20 updates
    assert max(under_way) <= most


def listening():
    """Where the programs that this process has started listen."""
    for program in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            yield from (found.laddr.ip for found in program.net_connections("tcp") if found.status == "LISTEN")


def test_workers_on_a_ray_cluster_change_nothing_and_listen_only_here(emulate, monkeypatch):
    ray = pytest.importorskip("ray")
    addresses, leave = set(), RayWorkers.__exit__

    def look(workers, *error):
        addresses.update(listening())
        leave(workers, *error)

    monkeypatch.setattr(RayWorkers, "__exit__", look)
    one = emulate()
    other = emulate(in_process=False, engine="ray", workers=2, task={"population": "cluster"})
    assert other.final_sha256 == one.final_sha256
    assert logs(other) == logs(one)
    assert not ray.is_initialized()  # the cluster was started for the run, and ended with it
    assert addresses
    assert addresses <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def test_another_seed_is_another_run(emulate):
    first, second = emulate(seed=1), emulate(seed=2)
    assert first.final_sha256 != second.final_sha256


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
    attackers = (Hostile("nan", 0.12), Hostile("garbage", 0.12), Hostile("lie-about-examples", 0.12, 1000.0))
    run = emulate(hostile=attackers, round_={"goal": 4})
    refused = {code for kind, code in kinds(run) if kind != "wait" and code}
    assert refused, kinds(run)
    assert np.isfinite(run.summary["loss"])
    assert run.accuracy["overall"] > 0.5


def test_devices_that_poll_come_by_themselves_and_are_told_to_wait(emulate):
    run = emulate(wake=Wake("poll", spread_seconds=10, poll_seconds=20))
    assert ("wait", "round-full") in kinds(run)
    assert len(run.rounds) == 5
    run.assert_no_failures(allow=("turn-failed", "round-closed", "lease-expired"))


def test_old_clients_are_turned_away(emulate):
    old = DeviceClass("old", share=0.4, client_version="0.0.1")
    eligibility = dataclasses.replace(from_toml(SCENARIO).task.eligibility, min_client_version="0.1")
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


def test_a_task_that_has_begun_is_not_emulated_again(emulate, fleet, folder, coordinator, tmp_path):
    from fedrela.emulator.emulation import emulate as again

    run = emulate(in_process=False, task={"name": "begun", "population": "begun"})
    assert run.rounds
    with pytest.raises(InvalidInput, match="round 1"):
        again(from_toml(SCENARIO), coordinator, "begun", out=tmp_path / "again", folder=folder, quiet=True)


def test_the_verbs_run_a_scenario_and_report_on_it(folder, tmp_path, monkeypatch, capsys):
    from typer.testing import CliRunner

    from fedrela.emulator.cli import app

    monkeypatch.chdir(folder)
    runner = CliRunner()
    common = ["emulate", "small.toml", "--bundle", "bundle", "--in-process", "--quiet", "--json"]
    summaries = []
    replayed = [common[0], *common[2:], "--replay", str(tmp_path / "one")]
    for label, command in (("one", common), ("two", replayed)):
        done = runner.invoke(app, [*command, "--label", label, "--out", str(tmp_path / label)], catch_exceptions=False)
        assert done.exit_code == 0
        summaries.append(json.loads(done.stdout))
    assert summaries[0]["final_sha256"] == summaries[1]["final_sha256"]
    done = runner.invoke(app, ["report", str(tmp_path / "one"), str(tmp_path / "two")], catch_exceptions=False)
    assert summaries[0]["final_sha256"] in done.stdout
    assert (tmp_path / "report" / "report.html").is_file()
    assert json.loads((tmp_path / "report" / "report.json").read_text())["fleet"]["updates"] == 40


def test_a_replay_that_differs_names_the_line(emulate):
    run, other = emulate(), emulate(seed=5)
    with pytest.raises(VerificationFailed, match="line 1:"):
        check(run.folder, other.folder)
    check(run.folder, run.folder)


def test_the_coordinator_is_told_the_figures_and_the_operator_can_judge_again(emulate, coordinator, folder):
    from typer.testing import CliRunner

    from fedrela.emulator.connections.admin import Operator
    from fedrela.emulator.evaluating import app

    run = emulate(in_process=False, task={"name": "judged", "population": "judged"})
    with httpx.Client(trust_env=False) as http:
        operator = Operator(http, coordinator.url, coordinator.admin_key)
        task_id = operator.find("judged")["task_id"]
        told = [item["accuracy"] for item in operator.rounds(task_id)]
        assert [item["overall"] for item in told] == [item["accuracy"]["overall"] for item in run.rounds[1:]]
        assert [item["few"] for item in told] == [item["accuracy"]["few"] for item in run.rounds[1:]]
        command = ["evaluate", "judged", "--data", str(folder / "small.npz"), "--many", "0", "--again"]
        command += ["--url", coordinator.url, "--admin-key", coordinator.admin_key]
        done = CliRunner().invoke(app, command, catch_exceptions=False)
        again = [item["accuracy"] for item in operator.rounds(task_id)]
    printed = [line.split() for line in done.stdout.splitlines()[1:]]
    assert [line[0] for line in printed] == ["1", "2", "3", "4"]
    for line, item in zip(printed, again, strict=True):
        assert line[1:4] == [f"{100 * item[name]:.1f}" for name in ("overall", "many", "medium")]
        assert (line[4], item["few"], item["examples"]) == ("–", None, 180)
        assert item["overall"] == pytest.approx((item["many"] + 2 * item["medium"]) / 3)
