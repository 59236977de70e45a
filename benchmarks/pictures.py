"""Two hundred pictures through the page in Chromium and through the Python device: do both make the same bytes?

    make web && python -m benchmarks.pictures

Bar: equal bytes or the same refusal; of lossy formats (JPEG, WebP), at most 2 gray levels of difference on average.
"""

import argparse
import json
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from fedrela.conformance.files import ROUNDS_BUNDLE
from tests.web.browser import Browser, missing
from tests.web.picture_clients import MODELS, Outcome, PicturePage
from tests.web.picture_set import large_set
from tests.web.place import Place

RESULTS = Path(__file__).parent / "results" / "pictures.json"


@dataclass(frozen=True)
class Line:
    """All pictures of one format with one model."""

    format: str
    lossy: bool
    fit: str
    pictures: int
    equal: int
    refused_alike: int
    largest_mean_difference: float  # gray levels, of one picture
    largest_difference: int  # of one value
    disagree: int


def measure() -> tuple[str, list[Outcome]]:
    """The browser's version, and every outcome: each picture with one of the models, in turn."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "data").mkdir()
        place = Place(folder / "data", ROUNDS_BUNDLE)
        place.start()
        browser = Browser()
        try:
            pages = [PicturePage(place, browser, folder, shape, fit) for shape, fit in MODELS[:3]]
            outcomes = [pages[number % 3].compare(picture) for number, picture in enumerate(large_set())]
        finally:
            browser.quit()
            place.stop()
    return str(browser.version), outcomes


def lines(outcomes: Iterable[Outcome]) -> list[Line]:
    """The outcomes by format and model."""
    groups: dict[tuple[str, bool, str], list[Outcome]] = {}
    for outcome in outcomes:
        kind = outcome.picture.rsplit(".", 1)[1]
        groups.setdefault((kind, outcome.lossy, outcome.fit), []).append(outcome)
    return [
        Line(
            *key,
            pictures=len(group),
            equal=sum(not any(outcome.refused) and outcome.largest_difference == 0 for outcome in group),
            refused_alike=sum(any(outcome.refused) and outcome.agrees for outcome in group),
            largest_mean_difference=round(max(outcome.mean_difference for outcome in group), 4),
            largest_difference=max(outcome.largest_difference for outcome in group),
            disagree=sum(not outcome.agrees for outcome in group),
        )
        for key, group in sorted(groups.items())
    ]


def main() -> None:
    """Compare, print the table, write the JSON."""
    argparse.ArgumentParser(prog="python -m benchmarks.pictures", description=__doc__).parse_args()
    if reason := missing():
        raise SystemExit(f"can't measure: {reason}")
    version, outcomes = measure()
    table = lines(outcomes)
    titles = ("format", "lossy", "fit", "pictures", "equal", "refused alike", "mean diff.", "largest", "disagree")
    for row in [titles, *(tuple(asdict(line).values()) for line in table)]:
        print("  ".join(str(cell).rjust(width) for cell, width in zip(row, (6, 5, 7, 8, 5, 13, 10, 7, 8), strict=True)))
    disagreeing = [asdict(outcome) for outcome in outcomes if not outcome.agrees]
    for outcome in disagreeing:
        print(outcome)
    print(f"{len(outcomes)} pictures, Chromium {version}; bar: {'MISSED' if disagreeing else 'met'}")
    result = {"chromium": version, "pictures": len(outcomes), "met": not disagreeing, "disagreeing": disagreeing}
    RESULTS.write_text(json.dumps(result | {"lines": [asdict(line) for line in table]}, indent=1) + "\n")


if __name__ == "__main__":
    main()
