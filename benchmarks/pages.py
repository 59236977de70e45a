"""Tables of measurements in the documents: between two comments that name the command they are from.

>>> insert("<!-- tables of b: begin -->old<!-- tables of b: end -->.", "b", "new")
'<!-- tables of b: begin -->\\nnew<!-- tables of b: end -->.'
"""

from pathlib import Path

NOT_YET = "The command writes its table here; no run of this version has been recorded yet.\n"
PRIVACY = Path(__file__).parents[1] / "docs" / "privacy.md"


def insert(page: str, command: str, tables: str) -> str:
    """The page with these tables in the place of the former ones. Raises ValueError where it has no place for them."""
    begin, end = (f"<!-- tables of {command}: {edge} -->" for edge in ("begin", "end"))
    before, found, rest = page.partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found and found_end):
        raise ValueError(f"the page has no place for the tables of {command}")
    return f"{before}{begin}\n{tables}{end}{after}"


def write(path: Path, command: str, tables: str) -> None:
    """Write the tables into the page at `path`."""
    path.write_text(insert(path.read_text(encoding="utf-8"), command, tables), encoding="utf-8")
