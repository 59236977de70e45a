"""The threat model names tests that are there: a promise whose test was renamed is found here."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "threat-model.md").read_text()


def test_every_test_that_is_named_is_there():
    named = set(re.findall(r"`((?:[\w.]+/)*test_[\w]+\.py|tests(?:/\w+)+)`", PAGE))
    assert len(named) > 25
    there = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("*")}
    assert [name for name in named if not any(f"/{path}".endswith(f"/{name}") for path in there)] == []


def test_a_row_names_a_test_or_says_that_nothing_stops_him():
    rows = [row.strip("|").split(" | ") for row in PAGE.splitlines() if row.startswith("|") and "---" not in row]
    assert all(len(cells) == 3 for cells in rows)
    silent = [cells[0] for cells in rows if not cells[2].strip() and "nothing" not in cells[1].lower()]
    assert [row for row in silent if row.strip() not in ("he can", "it can")] == []
