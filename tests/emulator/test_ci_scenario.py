"""The shipped scenario for continuous integration, from export to report, with ONNX and ExecuTorch devices."""

import json
import os
import subprocess
import sys

import pytest

from fedrela.emulator.fleet.profiles import DeviceProfiles
from fedrela.emulator.results import record
from fedrela.emulator.scenario import load


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """`fedrela emulate ci`, as a person would type it: exports, serves, emulates over HTTP with two workers."""
    out = tmp_path_factory.mktemp("ci") / "run"
    command = [sys.executable, "-m", "fedrela", "emulate", "ci", "--out", str(out), "--quiet", "--json"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["run"] == str(out)
    return record.read(out)


def test_both_runtimes_train_in_the_same_round(run):
    profiles = DeviceProfiles(load("ci")[0])
    runtimes = {}
    for event in run.events:
        if event["event"] == "update":
            runtimes.setdefault(event["round"], set()).add(profiles.of(event["device"]).kind.runtime)
    assert sorted(runtimes) == [1, 2, 3, 4, 5, 6]
    assert {"onnx", "executorch"} in runtimes.values()


def test_the_fleet_learns_and_every_round_is_committed(run):
    assert [result["round"] for result in run.rounds] == list(range(7))
    assert run.summary["failed_rounds"] == 0
    assert run.rounds[-1]["accuracy"]["overall"] > run.rounds[0]["accuracy"]["overall"] + 0.2


def test_the_figures_of_a_run_are_those_of_its_events(run):
    assert run.summary["updates"] == sum(event["event"] == "update" for event in run.events)
    assert run.summary["machine"]["peak_memory_bytes"] > 100_000_000
