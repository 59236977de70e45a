"""A whole small study: killed, resumed, and compared with itself."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from fedrela.core import signing
from fedrela.study.pages import report
from fedrela.study.runs import result_files
from tests.patience import PATIENCE_SECONDS

ROOT = Path(__file__).parents[2]
STUDY = """
name = "tiny"
seeds = [1]
references = ["centralised"]
[training]
rounds = 3
epochs = 1
[[setting]]
name = "20:1"
imbalance = 20
devices = 4
[[variant]]
name = "FedReLa"
start = 2
threshold_percent = 20
[[variant]]
name = "τ 0"
start = 2
threshold_percent = 0
[[variant]]
name = "own loop"
start = 2
threshold_percent = 20
treatment = {}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A study that was killed after its first cell, then run to its end."""
    place = tmp_path_factory.mktemp("study")
    (place / "tiny.toml").write_text(STUDY)
    with (place / "first.log").open("wb") as log:
        first = subprocess.Popen(command(place), cwd=ROOT, stdout=log, stderr=log)
    while first.poll() is None and not (place / "tiny.jsonl").exists():
        time.sleep(0.05)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    (place / "killed.jsonl").write_bytes((place / "tiny.jsonl").read_bytes())
    run(place)
    return place


def command(place):
    options = ["--work", place / "work", "--out", place / "tiny.jsonl"]
    return [sys.executable, "-m", "fedrela", "study", "longtail", *map(str, [place / "tiny.toml", *options])]


def run(place, *options):
    finished = subprocess.run([*command(place), *options], cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return finished


def test_a_killed_study_goes_on_and_repeats_nothing(folder):
    before = (folder / "killed.jsonl").read_bytes()
    after = (folder / "tiny.jsonl").read_bytes()
    assert before.count(b"\n") >= 1
    assert after.startswith(before[: before.rfind(b"\n") + 1])
    arms = [row["arm"] for row in result_files.read(folder / "tiny.jsonl").values()]
    assert arms == ["trunk", "kept", "relabeled", "relabeled", "kept", "relabeled", "reference"]
    again = run(folder)
    assert "0 rounds to go" in again.stderr
    assert "20:1: data: " in again.stderr  # of how many samples how many are used
    assert " of 1397 samples are used; by class 1" in again.stderr
    assert '. profile is "exponential"; "as-is" uses all. To evaluate: 400' in again.stderr
    assert (folder / "tiny.jsonl").read_bytes() == after


def test_in_two_processes_killed_and_resumed_the_cells_are_the_same(folder, tmp_path):
    (tmp_path / "tiny.toml").write_text(STUDY)
    for shared in ("bundles", "start"):
        shutil.copytree(folder / "work" / shared, tmp_path / "work" / shared)
    with (tmp_path / "first.log").open("wb") as log:
        first = subprocess.Popen([*command(tmp_path), "--jobs", "2"], cwd=ROOT, stdout=log, stderr=log)
    while first.poll() is None and not (tmp_path / "tiny.jsonl").exists():
        time.sleep(0.05)
    workers = [
        child for child in psutil.Process(first.pid).children(recursive=True) if "spawn_main" in str(child.cmdline())
    ]
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert len(workers) == 2
    assert not psutil.wait_procs(workers, timeout=PATIENCE_SECONDS)[1]  # nobody trains on for a study that is gone
    before = (tmp_path / "tiny.jsonl").read_bytes()
    assert before.count(b"\n") < 7
    run(tmp_path, "--jobs", "2")
    after = (tmp_path / "tiny.jsonl").read_bytes()
    assert after.startswith(before[: before.rfind(b"\n") + 1])
    assert after.count(b"\n") == 7
    alone, together = (result_files.read(place / "tiny.jsonl") for place in (folder, tmp_path))
    assert set(alone) == set(together)
    for key, row in alone.items():
        assert together[key]["measured"] == row["measured"]
        assert together[key].get("weights_sha256") == row.get("weights_sha256")


def test_without_re_labels_the_two_branches_are_bit_identical(folder):
    rows = list(result_files.read(folder / "tiny.jsonl").values())
    kept, relabeled, zero = rows[1:4]
    assert zero["moved"]["relabeled"] == 0
    assert zero["weights_sha256"] == kept["weights_sha256"]
    assert relabeled["moved"]["relabeled"] > 0
    assert relabeled["weights_sha256"] != kept["weights_sha256"]
    assert relabeled["moved"]["samples"] == sum(relabeled["class_counts"])


def test_the_own_loop_ends_where_the_fleet_does(folder):
    _, kept, relabeled, _, own_kept, own_relabeled, _ = result_files.read(folder / "tiny.jsonl").values()
    for theirs, ours in ((kept, own_kept), (relabeled, own_relabeled)):
        assert ours["measured"]["nll"] == pytest.approx(theirs["measured"]["nll"], rel=1e-5)
        assert ours["key"] != theirs["key"]
    assert own_relabeled["moved"] == relabeled["moved"]
    assert not list((folder / "work" / "running").glob("*.safetensors"))


def test_the_report_holds_every_cell(folder):
    printed = json.loads(run(folder, "--report-only", "--json").stdout)
    assert [item["variant"]["name"] for item in printed["comparisons"]] == ["FedReLa", "τ 0", "own loop"]
    assert printed["comparisons"][1]["difference"]["overall"]["mean"] == 0
    assert [item["name"] for item in printed["references"]] == ["centralised"]
    shown = run(folder, "--report-only")
    assert "FedAvg" in shown.stdout
    page = (folder / "tiny" / "report.html").read_text()
    assert page.count("<table>") == 3
    assert "http://" not in page
    assert "https://" not in page


def test_every_trained_model_is_kept_and_the_last_line_says_where(folder):
    models = folder / "work" / "models"
    rows = [row for row in result_files.read(folder / "tiny.jsonl").values() if row["arm"] != "reference"]
    assert len(rows) == len(list(models.iterdir())) == 6
    for row in rows:
        model = models / f"fedavg-{row['arm']}-seed1-{row['key']}"
        assert signing.sha256((model / "weights.safetensors").read_bytes()) == row["weights_sha256"]
        assert (model / "predict.onnx").is_file()
    assert f"the trained models: {models} " in run(folder, "--report-only").stdout.splitlines()[-1]


def test_no_local_path_is_in_a_result(folder):
    assert str(folder).encode() not in (folder / "tiny.jsonl").read_bytes()


def test_pairs_are_made_by_seed_and_incomplete_ones_left_out(folder):
    rows = list(result_files.read(folder / "tiny.jsonl").values())
    other = [{**row, "seed": 2} for row in rows if row["arm"] == "trunk"]
    third = [{**row, "seed": 3} for row in rows]
    third[1] = {**third[1], "measured": {**third[1]["measured"], "overall": 0.0}}
    compared = report.compare([*rows, *other, *third])
    assert compared[0].seeds == (1, 3)
    expected = [rows[2]["measured"]["overall"] - rows[1]["measured"]["overall"], rows[2]["measured"]["overall"]]
    assert compared[0].difference["overall"].mean == pytest.approx(sum(expected) / 2)
    ceiling = {3: {"overall": 1.0}, 4: {"overall": 0.0}}
    seeds, kept, moved = report.gap(compared[0], ceiling, "overall")
    assert (seeds, kept) == ((3,), 1.0)
    assert moved == pytest.approx(1 - rows[2]["measured"]["overall"])
    assert report.gap(compared[0], {4: {"overall": 0.0}}, "overall") is None


def test_a_study_that_does_not_exist_is_one_clear_line():
    finished = subprocess.run(
        [sys.executable, "-m", "fedrela", "study", "longtail", "nonsense"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert finished.returncode == 1
    assert "Traceback" not in finished.stderr
    assert "quick" in finished.stderr


def test_the_study_itself_needs_no_torch():
    files = [path.relative_to(ROOT).with_suffix("") for path in (ROOT / "study").rglob("*.py")]
    names = {"fedrela." + ".".join(path.parts) for path in files if path.name != "__init__"}
    own = {
        "fedrela.study.models",
        "fedrela.study.heads",
        "fedrela.study.losses",
        "fedrela.study.runs.centralized",
        "fedrela.study.runs.start",
        "fedrela.study.eager.devices",
        "fedrela.study.eager.engine",
        "fedrela.study.eager.opening",
    }
    script = (
        "import sys, importlib\n"
        f"for name in {sorted(names - own)!r}: importlib.import_module(name)\n"
        "assert not {'torch', 'fedrela.export', 'fastapi', 'sqlalchemy'} & set(sys.modules)\n"
    )
    finished = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
