"""docs/study.md is what its command writes from the results, and the page says what did not run."""

import dataclasses
from pathlib import Path

from study import config, page, report, results
from study.cells import expand

ROOT = Path(__file__).parents[2]


def test_the_page_in_the_repository_is_the_page_of_the_results():
    assert (ROOT / "docs" / "study.md").read_text(encoding="utf-8") == page.write()


def test_every_result_in_the_repository_can_be_read_and_has_its_command():
    for path in (ROOT / "study" / "results").glob("*.jsonl"):
        rows = results.read(path)
        assert rows
        assert all(row["command"].startswith("fedrela study longtail") for row in rows.values())
        assert report.compare(rows.values()) or report.references(rows.values())


def test_what_did_not_run_is_on_the_page(tmp_path):
    text = page.write(tmp_path)
    assert "0 of 9" in text
    assert "fedrela study longtail quick" in text


def test_a_cell_that_two_studies_share_counts_for_both(tmp_path):
    (tmp_path / "digits-methods.jsonl").write_bytes((ROOT / "study/results/digits-methods.jsonl").read_bytes())
    lines = [line for line in page.write(tmp_path).splitlines() if line.startswith("| `fedrela study")]
    ran = {line.split("`")[1].split()[-1]: int(line.split("|")[3].split()[0]) for line in lines}
    assert ran["quick"] > 0
    assert ran["digits-methods"] >= ran["quick"]
    assert ran["cifar10-lt"] == 0


def test_the_page_tells_cells_apart_as_their_names_do():
    for name in config.shipped():
        cells = list(expand(config.load(name)[0], "d"))
        assert len({page._identity(dataclasses.asdict(cell)) for cell in cells}) == len(cells)
