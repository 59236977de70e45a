"""Records and reports: what is written can be read, and the figures are right."""

import copy
import json

import pytest

from fedrela.core.data.partition import Accuracy
from fedrela.core.errors import InvalidInput
from fedrela.emulator.results import page, record, report
from fedrela.emulator.results.record import DeviceEvent, Recorder, RoundResult


def make_run(folder, label, seed, finals, few=0.5):
    scenario = {"devices": 3, "data": {"dataset": "digits"}}
    relabel = {"start": 0.5, "enabled": label != "A"}
    header = {
        "label": label, "scenario": scenario, "task": {"seed": seed, "rounds": 2, "relabel": relabel},
        "class_counts": [9, 3], "class_groups": [[0], [], [1]], "test_examples": 4,
    }  # fmt: skip
    with Recorder(folder, header) as recorder:
        for number, overall in enumerate(finals):
            accuracy = Accuracy(overall, overall, float("nan"), few, overall, (overall, few))
            recorder.round(RoundResult(number, 10.0 * number, "ab" * 32, 2 * bool(number), 1.5, accuracy))
        recorder.events(
            [DeviceEvent(1.0, 0, "assigned", 1), DeviceEvent(2.0, 0, "update", 1, bytes_up=1000, bytes_down=3000)]
        )
        recorder.events([DeviceEvent(3.0, 1, "drop-out", 1)])
        recorder.finish({"final_sha256": f"{label}{seed}" * 8, "updates": 1})
    return record.read(folder)


def test_a_report_has_means_spreads_and_gains_paired_by_seed(tmp_path):
    runs = [
        make_run(tmp_path / "a1", "A", 1, [0.1, 0.2, 0.5]),
        make_run(tmp_path / "a2", "A", 2, [0.1, 0.2, 0.7]),
        make_run(tmp_path / "b1", "B", 1, [0.1, 0.2, 0.6]),
        make_run(tmp_path / "b2", "B", 2, [0.1, 0.2, 0.9]),
    ]
    summary = report.summarize(runs)
    assert [arm.label for arm in summary.arms] == ["A", "B"]
    assert summary.arms[0].accuracy["overall"].mean == pytest.approx(0.6)
    assert summary.arms[0].accuracy["overall"].deviation == pytest.approx(0.1)
    assert summary.gains["overall"].values == pytest.approx((0.1, 0.2))
    assert summary.arms[1].before_per_class[0].mean == pytest.approx(0.2)  # round 1: the last before the re-labeling
    assert (summary.fleet.assigned, summary.fleet.updates, summary.fleet.bytes_up) == (4, 4, 4000)
    assert summary.fleet.events == {"drop-out": 4}
    assert summary.fleet.devices_by_updates == {0: 8, 1: 4}
    json.dumps(report.as_json(summary), allow_nan=False)
    turned = report.summarize(runs[::-1])  # a shell names `with` before `without`
    assert [arm.label for arm in turned.arms] == ["A", "B"]
    assert turned.gains["overall"].mean == pytest.approx(0.15)


def test_runs_that_differ_in_more_than_seed_and_method_are_told_apart(tmp_path):
    like = [make_run(tmp_path / "a", "A", 1, [0.1, 0.5, 0.5]), make_run(tmp_path / "b", "B", 2, [0.1, 0.6, 0.6])]
    assert report.summarize(like).unlike == ()
    longer = copy.deepcopy(like[1])
    longer.header["task"]["rounds"], longer.header["test_examples"] = 40, 60
    summary = report.summarize([like[0], longer])
    assert summary.unlike == ("rounds (2, 40)", "test examples (4, 60)")
    page.write(summary, tmp_path)
    assert "also differ in rounds (2, 40), test examples (4, 60)" in (tmp_path / "report.html").read_text()


def test_another_learning_rate_or_another_tail_is_told(tmp_path):
    like = [make_run(tmp_path / "a", "A", 1, [0.1, 0.5, 0.5]), make_run(tmp_path / "b", "B", 1, [0.1, 0.6, 0.6])]
    like[0].header["task"]["local"] = {"hyperparameters": {"lr": 0.1}}
    like[1].header["task"]["local"] = {"hyperparameters": {"lr": 0.001, "momentum": 0.9}}
    like[1].header["scenario"]["data"]["imbalance"] = 50
    assert report.summarize(like).unlike == ("imbalance (None, 50)", "lr (0.1, 0.001)", "momentum (None, 0.9)")


def test_one_seed_is_not_counted_twice(tmp_path):
    runs = [make_run(tmp_path / "a", "A", 1, [0.1, 0.5, 0.5]), make_run(tmp_path / "b", "A", 1, [0.1, 0.9, 0.9])]
    for twice in (runs, [runs[0], runs[0]]):
        copies = [copy.copy(run) for run in twice]
        with pytest.raises(InvalidInput, match=r"both 'A' with seed 1.*--label"):
            report.summarize(copies)


def test_the_page_is_self_contained_and_escapes_what_it_shows(tmp_path):
    runs = [make_run(tmp_path / "a", "A", 1, [0.1, 0.5, 0.5]), make_run(tmp_path / "b", "<b>B</b>", 1, [0.1, 0.6, 0.6])]
    summary = report.summarize(runs)
    page.draw(summary, tmp_path / "accuracy.png")
    page.draw_fleet(summary, tmp_path / "fleet.png")
    page.render(summary, [tmp_path / "accuracy.png", tmp_path / "fleet.png"], tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text()
    assert "(many: 0; medium: ; few: 1)" in html  # a run that names no classes
    runs[0].header["class_names"] = ["cat", "<i>dog</i>"]
    page.render(report.summarize(runs), [tmp_path / "accuracy.png"], tmp_path / "named.html")
    assert "(many: cat; medium: ; few: &lt;i&gt;dog&lt;/i&gt;)" in (tmp_path / "named.html").read_text()
    assert (tmp_path / "accuracy.png").read_bytes().startswith(b"\x89PNG")
    assert html.count("data:image/png;base64,") == 2
    assert "<b>B</b>" not in html
    assert "&lt;b&gt;B" in html
    assert "<script" not in html
    assert "http://" not in html
    assert "+10.0" in html


def test_an_unfinished_damaged_or_missing_run_is_refused(tmp_path):
    make_run(tmp_path / "a", "A", 1, [0.1, 0.2])
    (tmp_path / "a" / "summary.json").unlink()
    with pytest.raises(InvalidInput, match="not finished"):
        report.summarize([record.read(tmp_path / "a")])
    with pytest.raises(InvalidInput, match="no run"):
        record.read(tmp_path)
    (tmp_path / "a" / "rounds.jsonl").write_text("{")
    with pytest.raises(InvalidInput, match="damaged"):
        record.read(tmp_path / "a")
    for body in (b"\xff", b"[]", b"7", b"{", b'{"format": 1}', b"[" * 100_000):
        (tmp_path / "a" / "run.json").write_bytes(body)
        with pytest.raises(InvalidInput, match=r"damaged|has format"):
            record.read(tmp_path / "a")
    with pytest.raises(InvalidInput, match="no run"):
        record.read(tmp_path / "a" / "run.json")
    with pytest.raises(InvalidInput, match="no run"):
        report.summarize([])


def test_no_run_overwrites_another(tmp_path):
    assert record.free_folder(tmp_path / "r") == tmp_path / "r"
    (tmp_path / "r").mkdir()
    assert record.free_folder(tmp_path / "r") == tmp_path / "r-2"


def test_of_two_runs_that_begin_at_once_one_gets_the_folder(tmp_path):
    with record.Recorder(tmp_path / "r", {"seed": 1}):
        before = (tmp_path / "r" / "run.json").read_bytes()
        with pytest.raises(InvalidInput, match="holds a run already"):
            record.Recorder(tmp_path / "r", {"seed": 2})
        assert (tmp_path / "r" / "run.json").read_bytes() == before


def test_percentages():
    assert report.percent(report.spread([0.5, 0.7])) == "60.0 ± 10.0"
    assert report.percent(report.spread([0.012]), sign=True) == "+1.2"
    assert report.percent(report.spread([float("nan")])) == "–"
