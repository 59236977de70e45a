"""A study's report: tables on the terminal, PNG plots, and one self-contained page."""

import base64
import dataclasses
import json
from pathlib import Path

import jinja2

from fedrela.core.errors import InvalidInput
from fedrela.study.pages import plots, report, tables
from fedrela.study.pages.tables import Table
from fedrela.study.runs import result_files


def publish(path: Path, folder: Path, title: str) -> list[Table]:
    """Write plots and the page of the results in `path` to `folder`; give the tables. Raises InvalidInput."""
    rows = list(result_files.read(path).values())
    compared, references = report.compare(rows), report.references(rows)
    if not compared and not references:
        raise InvalidInput(f"{path} holds no finished comparison", remedy="run `fedrela study longtail` on the study")
    folder.mkdir(parents=True, exist_ok=True)
    shown, pictures = [tables.levels(compared, references)], []
    if compared:
        shown = [tables.differences(compared), *shown, tables.movements(compared)]
        pictures = [folder / "differences.png", folder / "classes.png"]
        plots.draw_differences(compared, pictures[0])
        plots.draw_classes(compared, pictures[1])
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fedrela.study.pages", "."), autoescape=True, undefined=jinja2.StrictUndefined
    )
    page = environment.get_template("page.html").render(
        title=title,
        tables=shown,
        images=[base64.b64encode(picture.read_bytes()).decode() for picture in pictures],
        cells=len(rows),
        command=rows[0]["command"],
    )
    (folder / "report.html").write_text(page, encoding="utf-8")
    return shown


def as_json(path: Path) -> str:
    """Every comparison and reference as one JSON object; a NaN is null."""
    rows = list(result_files.read(path).values())
    content = {
        "comparisons": [dataclasses.asdict(item) for item in report.compare(rows)],
        "references": [dataclasses.asdict(item) for item in report.references(rows)],
    }
    return json.dumps(result_files.without_nan(content), ensure_ascii=False, allow_nan=False)
