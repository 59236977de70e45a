"""What the study's seeds could have shown at all: a difference that is not seen may be too small for them."""

import math
from collections.abc import Sequence

from fedrela.study.pages import tables
from fedrela.study.pages.comparison import detectable
from fedrela.study.pages.report import Comparison
from fedrela.study.pages.tables import Table

_SHOWN = ("overall", "many", "few")


def section(compared: Sequence[Comparison]) -> list[str]:
    """Of plain FedAvg with several seeds: the smallest change that would have been seen in four of five studies."""
    rows = [
        (
            item.study["data"],
            item.setting,
            item.variant["name"],
            str(len(item.seeds)),
            *(_points(detectable(item.difference[name])) for name in _SHOWN),
        )
        for item in compared
        if item.method == "fedavg" and len(item.seeds) > 1
    ]
    if not rows:
        return []
    heading = ("data", "setting", "variant", "seeds", *_SHOWN)
    return [
        "### What could so few seeds have shown?",
        "The smallest true change, in points, that an interval from as many seeds, spread as these are, would have "
        "kept from 0 in four of five studies. What is smaller than that may be there all the same.",
        Table("", heading, tuple(rows), left=3).markdown(),
    ]


def _points(value: float) -> str:
    return "–" if math.isnan(value) else tables.signed(value).removeprefix("+")
