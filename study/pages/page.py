"""`python -m fedrela.study.pages.page` writes docs/study.md and its pictures: every number comes from
study/results/*.jsonl.

Files may have any name and may hold any part of any study; what did not run is said on the page.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

from fedrela.study.pages import answers, evidence, plots, power, sections, text
from fedrela.study.pages.report import Comparison
from fedrela.study.pages.sections import DEFAULT, Studies, of

ROOT = Path(__file__).resolve().parents[2]
TRAINED_OUT = ("cifar10-trained-out", "fashion-mnist-lt")
HEADLINES = (*TRAINED_OUT, "cifar10-lt")  # the most telling first
HARD = (
    "cifar10-lt-hard",
    "cifar10-lt-step",
    "cifar10-lt-alphas",
    "cifar10-lt-resnet8",
    "cifar10-lt-groups",
    "digits-settings",
)
PEOPLE = ("wisdm-people", "heart-severity", "heart-disease", "caravan")
METHODS = "digits-methods"
SENSITIVITY = "digits-sensitivity"
GAP = "cifar10-gap"
CLOSING = (GAP, "cifar10-synthesis", "cifar10-privacy")
PARTS_OF_OTHERS = ("quick",)  # its cells are those of METHODS: shown once


def write(folder: Path = ROOT / "study" / "results") -> str:
    """The whole page as Markdown."""
    studies = evidence.gather(folder)
    shown = {name: item for name, item in studies.items() if name not in PARTS_OF_OTHERS}
    placed = (*HEADLINES, *PEOPLE, *HARD, METHODS, SENSITIVITY, *CLOSING, *PARTS_OF_OTHERS)
    others = [name for name, item in studies.items() if name not in placed and item.rows]
    compared = every(shown)
    default = [item for item in compared if item.variant["name"] == DEFAULT]
    pictures = {*_pictures(studies), *(["distance"] if answers.near(studies, HEADLINES) else [])}
    parts = [text.TITLE, *_links(pictures, "distance"), *_answer(studies), text.INTRODUCTION]
    parts += ["## Does it help?", text.HELP, *of(HEADLINES, studies, sections.arms), *_links(pictures, "classes")]
    parts += [text.PEOPLE, *of(PEOPLE, studies, sections.of_people)]
    parts += ["## In harder settings", text.HARD, *of(HARD, studies, sections.arms)]
    parts += ["## On top of which methods?", text.METHODS, *of([METHODS], studies, sections.differences)]
    parts += _links(pictures, "methods")
    parts += ["## How far from those that see more?", text.GAPS, *sections.gaps(shown)]
    parts += ["## What else could close the distance?", text.CLOSING, *of(CLOSING, studies, sections.closing)]
    parts += sections.candidate(studies[GAP])
    parts += ["## What do its settings change?", text.SENSITIVITY, *of([SENSITIVITY], studies, sections.changes)]
    parts += [*_links(pictures, "sensitivity"), "## What does it cost?", text.COST, *sections.cost(default)]
    parts += sections.moves(shown)
    parts += ["## When not to use it", text.NOT, *sections.losers(compared)]
    parts += ["## Other results", *of(others, studies, sections.differences)] if others else []
    parts += ["## On your own data", text.USE, "## What ran, and what did not", *sections.ran(studies)]
    parts += power.section(compared)
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _answer(studies: Studies) -> list[str]:
    """How close to the pooled data; where that can't be said, what re-labels changed; else that nothing has run."""
    if found := answers.near(studies, HEADLINES):
        trained_out = answers.near(studies, TRAINED_OUT) or found
        return [answers.sentences(trained_out), answers.table(found).markdown()]
    ran = [name for name in HEADLINES if studies[name].compared]
    return sections.answer(studies, ran[0] if ran else HEADLINES[0])


def every(studies: Studies) -> list[Comparison]:
    """All comparisons of all studies, one that two studies share once."""
    compared: dict[str, Comparison] = {}
    for item in studies.values():
        for one in item.compared:
            compared.setdefault(repr((one.study, one.method, one.variant["name"], one.start)), one)
    return list(compared.values())


def _pictures(studies: Studies) -> dict[str, list[Comparison]]:
    """What each picture shows; none where there is nothing to show."""
    plain = [item for name in HEADLINES for item in studies[name].compared if item.method == "fedavg"]
    shown = {"classes": plain, "methods": studies[METHODS].compared, "sensitivity": studies[SENSITIVITY].compared}
    return {name: items for name, items in shown.items() if items}


def _links(pictures: Iterable[str], name: str) -> list[str]:
    words = {
        "distance": "Overall accuracy and that of the rarest classes: FedAvg, with FedReLa, and the pooled data",
        "classes": "Recall of each class, labels kept and re-labeled",
        "methods": "What re-labeling changed, method by method, with intervals",
        "sensitivity": "What re-labeling changed, setting by setting, with intervals",
    }
    return [f"![{words[name]}](pictures/study-{name}.png)"] if name in pictures else []


def draw(folder: Path, pictures: Path) -> list[Path]:
    """Write the pictures that the page shows."""
    written = []
    studies = evidence.gather(folder)
    if near := answers.near(studies, HEADLINES):
        written.append(pictures / "study-distance.png")
        plots.draw_distance(near, written[-1])
    for name, items in _pictures(studies).items():
        path = pictures / f"study-{name}.png"
        (plots.draw_classes if name == "classes" else plots.draw_differences)(items, path)
        written.append(path)
    return written


def main() -> None:
    """Write docs/study.md and the pictures beside it."""
    parser = argparse.ArgumentParser(prog="python -m fedrela.study.pages.page", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "study.md")
    parser.add_argument("--results", type=Path, default=ROOT / "study" / "results")
    options = parser.parse_args()
    (options.out.parent / "pictures").mkdir(parents=True, exist_ok=True)
    options.out.write_text(write(options.results), encoding="utf-8")
    for path in (options.out, *draw(options.results, options.out.parent / "pictures")):
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
