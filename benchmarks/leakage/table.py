"""The measurements as tables, on the screen and in docs/privacy.md."""

import math
from collections.abc import Mapping
from pathlib import Path

from benchmarks.leakage.measures import Scores, best

PAGE = Path(__file__).parents[2] / "docs" / "privacy.md"
BEGIN, END = "<!-- tables of benchmarks.leakage: begin -->", "<!-- tables of benchmarks.leakage: end -->"
_HEAD = (
    "| what the coordinator holds | cosine | TVD | dominant class | presence | AUC |\n|---|---:|---:|---:|---:|---:|\n"
)


def text(rows: Mapping[str, Mapping[str, Scores]], accuracy: Mapping[str, Mapping[str, float]]) -> str:
    """`rows`: by what is held, by attack. The best attack by each measure. `accuracy`: by multiplier of the noise."""
    lines = [_HEAD]
    for name, scored in rows.items():
        scores = best(list(scored.values()))
        auc = "–" if math.isnan(scores["auc"]) else f"{scores['auc']:.2f}"
        lines.append(
            f"| {name} | {scores['cosine']:.2f} | {scores['tvd']:.2f} | {100 * scores['dominant']:.0f} % | "
            f"{100 * scores['presence']:.0f} % | {auc} |\n"
        )
    if accuracy:
        lines.append("\n| what is done to the sum of 12 | accuracy | of the rarest classes |\n|---|---:|---:|\n")
        lines += [
            f"| {name} | {100 * of['overall']:.1f} % | {100 * of['few']:.1f} % |\n" for name, of in accuracy.items()
        ]
    return "".join(lines)


def insert(page: str, tables: str) -> str:
    """The page with these tables in the place of the former ones."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{tables}{END}{after}"
