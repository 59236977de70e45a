"""The page's text: what did not run is said in words, and what a file says is what the page counts."""

import json
from pathlib import Path

import pytest

from core.errors import InvalidInput
from study import config, page
from study.cells import expand
from study.tables import Table

QUICK = Path(page.ROOT / "study" / "results" / "digits-methods.jsonl").read_text(encoding="utf-8").splitlines()
TRUNK, *_ = (line for line in QUICK if json.loads(line)["arm"] == "trunk")


def test_markdown_aligns_words_left_and_numbers_right():
    table = Table("t", ("name", "n"), (("a", "1"), ("b", "2")))
    assert table.markdown() == "| name | n |\n| --- | ---: |\n| a | 1 |\n| b | 2 |"


def test_without_results_every_shipped_study_is_listed_as_not_run(tmp_path):
    lines = [line for line in page.write(tmp_path).splitlines() if line.startswith("| `fedrela study")]
    assert len(lines) == len(config.shipped())
    for name, line in zip(config.shipped(), lines, strict=True):
        study, _ = config.load(name)
        assert f"longtail {name}`" in line
        assert study.title in line
        assert line.endswith(f"| 0 of {len(list(expand(study, '')))} |")


def test_a_trunk_alone_is_counted_but_not_compared(tmp_path):
    (tmp_path / "digits-methods.jsonl").write_text(TRUNK + "\n", encoding="utf-8")
    text = page.write(tmp_path)
    line = next(line for line in text.splitlines() if "longtail digits-methods`" in line)
    assert "| 1 of " in line
    assert "No comparison has all of its branches yet." in text
    assert "nan" not in text.split("## What ran")[1].lower().split()


def test_a_torn_last_line_is_a_cell_that_did_not_run(tmp_path):
    (tmp_path / "digits-methods.jsonl").write_text(TRUNK + "\n" + QUICK[1][:100], encoding="utf-8")
    line = next(line for line in page.write(tmp_path).splitlines() if "longtail digits-methods`" in line)
    assert "| 1 of " in line


def test_a_file_of_no_shipped_study_is_headed_by_its_name(tmp_path):
    (tmp_path / "mine.jsonl").write_text(TRUNK + "\n", encoding="utf-8")
    assert "\n## mine\n" in page.write(tmp_path)


def test_a_damaged_file_makes_no_page(tmp_path):
    (tmp_path / "quick.jsonl").write_text("{}\n" + TRUNK + "\n", encoding="utf-8")
    with pytest.raises(InvalidInput, match="line 1"):
        page.write(tmp_path)
