"""docs/study.md is what its command writes from the results, and the page says what did not run."""

import dataclasses
from pathlib import Path

from fedrela.study import config
from fedrela.study.pages import evidence, page, report
from fedrela.study.runs import result_files
from fedrela.study.runs.cells import expand

ROOT = Path(__file__).parents[3]


def test_the_page_in_the_repository_is_the_page_of_the_results():
    assert (ROOT / "docs" / "study.md").read_text(encoding="utf-8") == page.write()


def test_every_result_in_the_repository_can_be_read_and_has_its_command():
    for path in (ROOT / "study" / "results").glob("*.jsonl"):
        rows = result_files.read(path)
        assert rows
        assert all(row["command"].startswith("fedrela study longtail") for row in rows.values())
        assert report.compare(rows.values()) or report.references(rows.values())


def test_every_result_in_the_repository_belongs_to_a_shipped_study():
    studies = evidence.gather(ROOT / "study" / "results")
    assert set(studies) == set(config.shipped())


def test_every_picture_on_the_page_is_in_the_repository():
    text = page.write()
    links = [part.split(")")[0] for part in text.split("](")[1:]]
    assert links
    assert all((ROOT / "docs" / link).is_file() for link in links)


def test_a_cell_that_two_studies_share_counts_for_both_in_whatever_file_it_is(tmp_path):
    (tmp_path / "any.jsonl").write_bytes((ROOT / "study/results/digits-methods.jsonl").read_bytes())
    studies = evidence.gather(tmp_path)
    assert set(studies) == set(config.shipped())
    assert studies["quick"].rows
    assert len(studies["digits-methods"].rows) >= len(studies["quick"].rows)
    assert not studies["cifar10-lt"].rows


def test_cells_are_told_apart_as_their_names_do():
    for name in config.shipped():
        cells = list(expand(config.load(name)[0], "d"))
        assert len({evidence.identity(dataclasses.asdict(cell)) for cell in cells}) == len(cells)
