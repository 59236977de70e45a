"""Export every model of the zoo, and write docs/zoo.md from what came of it: make test-zoo.

python -m tests.zoo                                 what has no result yet, for ONNX first
python -m tests.zoo --only mobilenet --again all    some models once more
python -m tests.zoo --again refused traceback       those that ended so
python -m tests.zoo --page                          the page alone
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from itertools import product
from typing import Any

from fedrela.export.verification.replay import RUNTIMES
from tests.zoo import limits, one, page, results
from tests.zoo.catalog import ENTRIES
from tests.zoo.entries import Entry
from tests.zoo.limits import Limits


def main() -> None:
    """Run what was asked for; the status is 1 if a model there differs, raises, or passes a limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=[""], help="models whose package and name contain this")
    parser.add_argument("--runtime", nargs="+", choices=RUNTIMES, default=[*RUNTIMES])
    parser.add_argument("--again", nargs="+", choices=[*results.OUTCOMES, "all"], default=[])
    parser.add_argument("--page", action="store_true", help="write docs/zoo.md from the results that are kept")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no model after these")
    options = parser.parse_args()
    faults = 0 if options.page else sum(_faults(options))
    page.PAGE.write_text(page.page(results.read()))
    sys.exit(1 if faults else 0)


def _faults(options: argparse.Namespace) -> Iterator[bool]:
    """Try each model that is asked for and keep what comes of it: whether that is a fault of ours."""
    one.warm(options.runtime)
    began = time.monotonic()
    for runtime, (name, entry) in product(options.runtime, ENTRIES.items()):
        known = results.read().get((name, runtime), {}).get("outcome")
        wanted = known is None or known in options.again or "all" in options.again
        in_time = time.monotonic() - began < 60 * options.minutes
        if wanted and in_time and any(part in name for part in options.only):
            result = _try(name, entry, runtime)
            results.keep(result)
            print(_line(result), flush=True)
            yield result["outcome"] not in {"verified", "refused"}


def _try(name: str, entry: Entry, runtime: str) -> results.Result:
    """One model in a process of its own, within the limits."""
    ran = limits.run(lambda: one.report(name, runtime), Limits(as_long_again_after=one.STEPPING))
    said = [json.loads(line) for line in ran.output.splitlines() if line.startswith("{")]
    stages = ["import", *(line["stage"] for line in said if "stage" in line)]
    result: dict[str, Any] = {"model": name, "package": entry.package, "kind": entry.kind, "runtime": runtime}
    for line in said:
        result |= line.get("known", {}) | line.get("result", {})
    if ran.beyond:
        result |= {"outcome": ran.beyond, "stage": stages[-1]}
    elif "outcome" not in result:
        last = (ran.complaints.strip().splitlines() or ["no message"])[-1][:300]
        result |= {"outcome": "traceback", "error": f"exit status {ran.status}: {last}", "stage": stages[-1]}
    taken = {"processor_seconds": round(ran.processor_seconds, 1), "megabytes": round(ran.resident_bytes / 2**20)}
    return result | taken


def _line(result: results.Result) -> str:
    said = result.get("problem") or result.get("error") or result.get("stage") or ""
    figures = f"{result['processor_seconds']:6.1f} s {result['megabytes']:5d} MB"
    within = f" {result['steps_within']:.0e}" if "steps_within" in result else ""
    return f"{result['runtime']:10s} {result['outcome']:11s}{figures}{within}  {result['model']}  {said}"


if __name__ == "__main__":
    main()
