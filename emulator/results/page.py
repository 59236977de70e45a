"""The report as one self-contained HTML page: no script, no request to anywhere, pictures inside.

May import jinja2 and `fedrela.emulator.results.report`.

    render(report, [Path("accuracy.png")], Path("report.html"))
"""

import base64
import math
from collections.abc import Sequence
from pathlib import Path

import jinja2

from fedrela.emulator.results.report import GROUPS, Report, Spread


def render(report: Report, pictures: Sequence[Path], path: Path) -> None:
    """Write the page to `path`; `pictures` are PNG files, shown in order."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fedrela.emulator", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "megabytes": lambda size: f"{size / 1e6:.1f} MB"}
    images = [base64.b64encode(picture.read_bytes()).decode() for picture in pictures]
    page = environment.get_template("report.html").render(report=report, groups=GROUPS, images=images)
    path.write_text(page, encoding="utf-8")


def percent(figure: Spread, *, sign: bool = False) -> str:
    """ "48.1 ± 0.9", in percent (or percentage points, with a sign); no spread for a single value."""
    if math.isnan(figure.mean):
        return "–"
    text = f"{100 * figure.mean:{'+' if sign else ''}.1f}"
    return f"{text} ± {100 * figure.deviation:.1f}" if len(figure.values) > 1 else text
