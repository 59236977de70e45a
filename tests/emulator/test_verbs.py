"""What a person asks for: emulate, replay, report, and evaluate a task's models again."""

import json
import re

import numpy as np
import pytest

from fedrela.core.errors import InvalidInput, VerificationFailed
from fedrela.emulator.results.record import check_same
from fedrela.emulator.scenario import from_toml
from tests.emulator import pictures
from tests.emulator.small_fleet import SCENARIO


def test_a_task_that_has_begun_is_not_emulated_again(emulate, folder, fedrela_coordinator, tmp_path):
    from fedrela.emulator.emulation import emulate as again

    run = emulate(in_process=False, task={"name": "begun", "population": "begun"})
    assert run.rounds
    with pytest.raises(InvalidInput, match="round 1"):
        again(from_toml(SCENARIO), fedrela_coordinator, "begun", out=tmp_path / "again", folder=folder, quiet=True)


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
    everything = [str(tmp_path / name) for name in ("one", "report", "two")]  # as `runs/*` does the second time
    again = runner.invoke(app, ["report", *everything], catch_exceptions=False)
    assert f"left out: {tmp_path / 'report'} holds no run" in again.output
    assert "in place of a former one" in again.stdout


def test_a_first_look_at_ones_own_pictures_needs_no_scenario_and_ends_with_the_lines_that_predict(
    folder, tmp_path, monkeypatch
):
    from typer.testing import CliRunner

    from fedrela.emulator.cli import app

    monkeypatch.chdir(tmp_path)
    pictures.write(tmp_path / "my-pictures", (40, 12, 8))
    command = ["emulate", "trial", "--data", "my-pictures", "--in-process"]
    with pytest.raises(InvalidInput, match="no model for it"):
        CliRunner().invoke(app, command, catch_exceptions=False)
    done = CliRunner().invoke(app, [*command, "--bundle", str(folder / "bundle")], catch_exceptions=False)
    assert "54 of 54 samples are used; by class 38 of 38, 10 of 10, 6 of 6. To evaluate: 6" in done.output
    assert done.stdout.splitlines()[0].startswith("10 rounds, 80 updates")
    plain = [*command, "--bundle", str(folder / "bundle"), "--no-relabel"]
    assert CliRunner().invoke(app, plain, catch_exceptions=False).exit_code == 0
    runs = [str(tmp_path / "runs" / name) for name in ("trial", "trial-no-relabel")]
    compared = CliRunner().invoke(app, ["report", *runs, "--json"], catch_exceptions=False)
    assert [arm["label"] for arm in json.loads(compared.stdout)["arms"]] == ["FedAvg", "FedAvg + FedReLa"]
    with pytest.raises(InvalidInput, match="no task of this run's own"):
        CliRunner().invoke(app, [*plain, "--task", "published", "--url", "http://x"], catch_exceptions=False)
    (lines,) = re.findall(r"plain onnxruntime, with x uint8.*?:\n\n(.*?)\n\nPyTorch", done.stdout, re.DOTALL)
    predicted = {"x": np.zeros((2, 1, 4, 4), np.uint8)}
    exec(lines, predicted)
    assert predicted["probabilities"].shape == (2, 3)


def test_whose_coordinator_is_used_is_said_before_anything_is_sent(monkeypatch):
    from typer.testing import CliRunner

    from fedrela.emulator.cli import app

    monkeypatch.setenv("FEDRELA_URL", "https://fl.example.org")
    monkeypatch.delenv("FEDRELA_ADMIN_KEY", raising=False)
    done = CliRunner().invoke(app, ["emulate", "ci"])
    assert "coordinator: https://fl.example.org, by --url or FEDRELA_URL" in done.stderr
    assert "--admin-key" in str(done.exception)


def test_a_replay_that_differs_names_the_line(emulate):
    run, other = emulate(), emulate(seed=5)
    with pytest.raises(VerificationFailed, match="line 1:"):
        check_same(run.folder, other.folder)
    check_same(run.folder, run.folder)


def test_the_coordinator_is_told_the_figures_and_the_operator_can_evaluate_again(emulate, fedrela_coordinator, folder):
    from typer.testing import CliRunner

    from fedrela.coordinator.admin_client import AdminClient
    from fedrela.emulator.evaluating import app

    run = emulate(in_process=False, task={"name": "evaluated", "population": "evaluated"})
    with AdminClient(fedrela_coordinator.url, fedrela_coordinator.admin_key) as admin:
        task_id = admin.find("evaluated")["task_id"]
        reported = [item["accuracy"] for item in admin.rounds(task_id)]
        assert [item["overall"] for item in reported] == [item["accuracy"]["overall"] for item in run.rounds[1:]]
        assert [item["few"] for item in reported] == [item["accuracy"]["few"] for item in run.rounds[1:]]
        command = ["evaluate", "evaluated", "--data", str(folder / "small.npz"), "--many", "0", "--again"]
        command += ["--url", fedrela_coordinator.url, "--admin-key", fedrela_coordinator.admin_key]
        done = CliRunner().invoke(app, command, catch_exceptions=False)
        lines = CliRunner().invoke(app, [*command, "--json"], catch_exceptions=False).stdout.splitlines()
        again = [item["accuracy"] for item in admin.rounds(task_id)]
        without_again = [word for word in command if word != "--again"]
        with pytest.raises(InvalidInput, match=r"every round has its figures already.*--again"):
            CliRunner().invoke(app, without_again, catch_exceptions=False)
    assert [json.loads(line) for line in lines] == [
        {"round": at} | {name: item[name] for name in ("overall", "many", "medium", "few")}
        for at, item in enumerate(again, 1)
    ]
    printed = [line.split() for line in done.stdout.splitlines()[1:]]
    assert [line[0] for line in printed] == ["1", "2", "3", "4"]
    for line, item in zip(printed, again, strict=True):
        assert line[1:4] == [f"{100 * item[name]:.1f}" for name in ("overall", "many", "medium")]
        assert (line[4], item["few"], item["examples"]) == ("–", None, 180)
        assert item["overall"] == pytest.approx((item["many"] + 2 * item["medium"]) / 3)
