"""The report of whatever part of a study has run."""

import json
from pathlib import Path

import pytest

from fedrela.core.errors import InvalidInput
from fedrela.study.pages import publish
from fedrela.study.runs import result_files

ROWS = list(result_files.read(Path(publish.__file__).parents[1] / "results" / "digits-methods.jsonl").values())


def report(tmp_path, rows):
    for row in rows:
        result_files.append(tmp_path / "r.jsonl", row)
    return publish.publish(tmp_path / "r.jsonl", tmp_path / "report", "A & B")


def test_a_report_is_one_page_with_its_tables_and_pictures(tmp_path):
    rows = [row for row in ROWS if row["method"] == "fedavg"]
    shown = report(tmp_path, rows)
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert page.count("<table>") == len(shown) == 3
    assert page.count("data:image/png;base64,") == 2
    assert "<title>A &amp; B</title>" in page
    assert f"{len(rows)} cells" in page


def test_references_alone_are_a_report_without_pictures(tmp_path):
    (table,) = report(tmp_path, [row for row in ROWS if row["arm"] == "reference"])
    assert [line[1] for line in table.rows] == list(publish.report.REFERENCES.values())
    assert "data:image" not in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")


def test_a_trunk_alone_is_no_report_yet(tmp_path):
    with pytest.raises(InvalidInput, match="no finished comparison"):
        report(tmp_path, [row for row in ROWS if row["arm"] == "trunk"][:1])


def test_what_could_not_be_measured_is_null_in_json(tmp_path):
    rows = [row for row in ROWS if row["method"] == "fedavg" and row["seed"] == 1]
    for row in rows:
        result_files.append(tmp_path / "r.jsonl", row | {"measured": row["measured"] | {"few": None}})
    (compared,) = json.loads(publish.as_json(tmp_path / "r.jsonl"))["comparisons"]
    assert compared["difference"]["few"]["mean"] is None
    assert compared["difference"]["overall"]["low"] is None  # one seed has no interval
    assert compared["seeds"] == [1]
