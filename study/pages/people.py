"""What a study of people says: recalls pooled over people never trained on, and those whom the model serves worst.

An interval is of the people: they are drawn again with replacement, and the recalls pooled anew. A person who was
tested under several seeds counts with all of them together.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedrela.study.methods import METHODS
from fedrela.study.pages.report import REFERENCES
from fedrela.study.pages.tables import Table
from fedrela.study.runs.result_files import Row

_DRAWS = 2000
_WORST = 0.1

Counts = NDArray[np.float64]  # (people, classes)


def table(rows: Sequence[Row]) -> Table | None:
    """A line for each arm of each method; None where no result has people. Folds without all arms are shown too."""
    arms: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if "people" in row and row["setting"].get("people_fold") and row["arm"] != "trunk":
            arms[_name(row)].append(row)
    if not arms:
        return None
    lines = tuple((name, *_line(of_arm)) for name, of_arm in arms.items())
    heading = ("method", "people", "mean recall", "rarest class", "worst tenth of people", "right of their samples")
    return Table("People never trained on", heading, lines)


def _name(row: Row) -> str:
    if row["arm"] == "reference":
        return REFERENCES[row["method"]]
    title = METHODS[row["method"]].title
    return title if row["arm"] == "kept" else f"{title} + {row['variant']['name']}"


def _line(rows: Sequence[Row]) -> tuple[str, ...]:
    samples, right = by_person(rows)
    draws = np.random.default_rng(0).integers(0, len(samples), (_DRAWS, len(samples)))
    recalls = recall(samples, right)
    drawn = np.array([recall(samples[own], right[own]) for own in draws])
    rarest = int(np.argmin(samples.sum(axis=0)))
    shares = right.sum(axis=1) / samples.sum(axis=1)
    worst = np.argsort(shares, kind="stable")[: max(1, round(_WORST * len(shares)))]
    return (
        str(len(samples)),
        _with_interval(float(np.nanmean(recalls)), np.nanmean(drawn, axis=1)),
        _with_interval(float(recalls[rarest]), drawn[:, rarest]),
        f"{100 * shares[worst].mean():.1f}",
        ", ".join(f"{right[person].sum():.0f} of {samples[person].sum():.0f}" for person in worst),
    )


def by_person(rows: Sequence[Row]) -> tuple[Counts, Counts]:
    """Samples and right answers of each person, (people, classes), summed over seeds."""
    samples: dict[int, Counts] = {}
    right: dict[int, Counts] = {}
    for row in rows:
        for person in row["people"]:
            owner = person["owner"]
            samples[owner] = samples.get(owner, 0.0) + np.array(person["samples"], np.float64)
            right[owner] = right.get(owner, 0.0) + np.array(person["right"], np.float64)
    people = sorted(samples)
    return np.stack([samples[owner] for owner in people]), np.stack([right[owner] for owner in people])


def recall(samples: Counts, right: Counts) -> Counts:
    """(classes,): pooled over people; NaN for a class that none of them has."""
    totals = samples.sum(axis=0)
    shares: Counts = np.divide(right.sum(axis=0), totals, out=np.full(len(totals), np.nan), where=totals > 0)
    return shares


def _with_interval(value: float, drawn: Counts) -> str:
    low, high = np.nanpercentile(drawn, (2.5, 97.5))
    return f"{100 * value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
