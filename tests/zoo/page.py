"""docs/zoo.md, written from the results alone.

PAGE.write_text(page(results.read()))
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from fedrela.export.verification.replay import RUNTIMES
from tests.zoo.catalog import ENTRIES
from tests.zoo.limits import Limits
from tests.zoo.results import OUTCOMES, Key, Result
from tests.zoo.stepping import STEPS

PAGE = Path(__file__).parents[2] / "docs" / "zoo.md"
TITLES = {"onnx": "ONNX Runtime", "executorch": "ExecuTorch"}
NOT_TRIED = "not tried"
_MEANINGS = {
    "verified": f"exported, proven equal to eager PyTorch by the exporter, and equal over {STEPS} more steps",
    "differs": f"exported, but not equal over {STEPS} steps: a fault of ours",
    "refused": "no bundle was written, and a sentence says why",
    "traceback": "an error that nobody foresaw: a fault of ours",
    "over time": f"ended after {Limits().processor_seconds:.0f} s of processor time",
    "over memory": f"ended at {Limits().resident_bytes / 2**30:.0f} GiB of memory",
    "stuck": "waited for something that never came: a fault of ours",
    "not built": "the package itself could not build it",
    NOT_TRIED: "no result is kept",
}


def page(results: Mapping[Key, Result]) -> str:
    """The Markdown page."""
    packages = len({entry.package for entry in ENTRIES.values()})
    return f"""# The zoo: other people's models

{len(ENTRIES)} classifiers of {packages} packages, as `pip install` gives them, with random weights, in sizes that a
phone trains. `make test-zoo` exports each in a process of its own and writes this page from what came of it. The number
is the largest relative difference from eager PyTorch after {STEPS} steps on fresh data, the module being trained by
torch's own optimizer; 1e-04 is allowed, and ten times what a rounding of the weights changes where that is more. A
tensor that roundings take as far as training does, as in a net that diverges, is compared after one step.

{_counts(results)}
{_table(results)}
{_reasons(results)}"""


def _outcome(results: Mapping[Key, Result], name: str, runtime: str) -> str:
    return results[name, runtime]["outcome"] if (name, runtime) in results else NOT_TRIED


def _counts(results: Mapping[Key, Result]) -> str:
    by_runtime = {runtime: Counter(_outcome(results, name, runtime) for name in ENTRIES) for runtime in RUNTIMES}
    lines = [f"| Outcome | {' | '.join(TITLES[runtime] for runtime in RUNTIMES)} | Meaning |", "|---|---|---|---|"]
    for outcome in (*OUTCOMES, NOT_TRIED):
        counts = [by_runtime[runtime][outcome] for runtime in RUNTIMES]
        if any(counts):
            lines.append(f"| {outcome} | {' | '.join(map(str, counts))} | {_MEANINGS[outcome]} |")
    return "\n".join(lines) + "\n"


def _table(results: Mapping[Key, Result]) -> str:
    lines = [
        f"| Package | Model | Kind | Parameters | {' | '.join(TITLES[runtime] for runtime in RUNTIMES)} |",
        "|---|---|---|---|---|---|",
    ]
    for name, entry in sorted(ENTRIES.items()):
        found = [results.get((name, runtime), {"outcome": NOT_TRIED}) for runtime in RUNTIMES]
        parameters = next((f"{result['parameters']:,}" for result in found if "parameters" in result), "")
        cells = " | ".join(map(_cell, found))
        lines.append(f"| {entry.package} | {entry.name} | {entry.kind} | {parameters} | {cells} |")
    return "## Every model\n\n" + "\n".join(lines) + "\n"


def _cell(result: Result) -> str:
    outcome: str = result["outcome"]
    return f"{result['steps_within']:.0e}" if outcome == "verified" else outcome


def _reasons(results: Mapping[Key, Result]) -> str:
    """What was said where no program was written."""
    lines = []
    for (name, runtime), result in sorted(results.items()):
        said = "; ".join(result[part] for part in ("problem", "remedy") if part in result) or result.get("error", "")
        said = said or (f"while at: {result['stage']}" if "stage" in result else "")
        if result["outcome"] == "differs":
            said = f"{result['steps_worst']} by {result['steps_within']:.1g}"
        if result["outcome"] != "verified":
            lines.append(f"- **{name}**, {TITLES[runtime]}, {result['outcome']}: {said}".rstrip(": "))
    return "## What was not verified, and what was said\n\n" + ("\n".join(lines) or "Nothing.") + "\n"
