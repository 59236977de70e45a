"""The tables of docs/privacy.md show what was measured, and nothing else."""

import pytest

from benchmarks import pages
from benchmarks.privacy_page import TABLES, recorded


@pytest.mark.parametrize("command", TABLES)
def test_the_page_shows_what_was_measured(command: str) -> None:
    page = pages.PRIVACY.read_text(encoding="utf-8")
    assert pages.insert(page, command, recorded(command)) == page


def test_a_page_without_a_place_for_a_table_is_not_written() -> None:
    with pytest.raises(ValueError, match="no place"):
        pages.insert("<!-- tables of b: begin -->", "b", "")
