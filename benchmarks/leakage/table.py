"""The measurements as tables, on the screen and in docs/privacy.md."""

import math
from collections.abc import Mapping
from typing import Any

from benchmarks.leakage.measures import best

_HEAD = (
    "| what the coordinator holds | cosine | TVD | dominant class | presence | AUC |\n|---|---:|---:|---:|---:|---:|\n"
)


def text(document: Mapping[str, Any]) -> str:
    """`rows`: by what is held, by attack, the best attack by each measure. `accuracy`: by multiplier of the noise."""
    lines = [_HEAD]
    for name, scored in document["rows"].items():
        numbers = [{measure: _number(value) for measure, value in scores.items()} for scores in scored.values()]
        scores = best(numbers)
        auc = "–" if math.isnan(scores["auc"]) else f"{scores['auc']:.2f}"
        lines.append(
            f"| {name} | {scores['cosine']:.2f} | {scores['tvd']:.2f} | {100 * scores['dominant']:.0f} % | "
            f"{100 * scores['presence']:.0f} % | {auc} |\n"
        )
    if document["accuracy"]:
        lines.append("\n| what is done to the sum of 12 | accuracy | of the rarest classes |\n|---|---:|---:|\n")
        lines += [
            f"| {name} | {100 * of['overall']:.1f} % | {100 * of['few']:.1f} % |\n"
            for name, of in document["accuracy"].items()
        ]
    return "".join(lines)


def _number(value: float | None) -> float:
    return math.nan if value is None else value
