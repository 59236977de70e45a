"""docs/study.md is what its command writes from the results, and the page says what did not run."""

from pathlib import Path

from study import page, report, results

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
