"""`python -m fedrela.conformance.sources`: see the package."""

import argparse
import json
import os
import resource
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from fedrela.conformance.sources.verdicts import FOREIGN, SOURCES, VERDICTS, WRONG, verdict

PART = 1000  # cases that a process takes at once
EXAMPLES = 10  # findings of a source that are printed
MEMORY_BYTES = 8_000_000_000  # of a process: a damaged pickle may ask for any amount


@dataclass
class Tally:
    """The verdicts on the cases of a source."""

    verdicts: Counter[str] = field(default_factory=Counter)
    findings: list[tuple[int, str]] = field(default_factory=list)  # the first of them: number of the case, and what

    def add(self, number: int, said: str) -> None:
        """Count a case."""
        kind = said.partition(":")[0].partition(" ")[0]
        self.verdicts[kind] += 1
        if kind in (WRONG, FOREIGN) and len(self.findings) < EXAMPLES:
            self.findings.append((number, said))

    def document(self) -> dict[str, Any]:
        """The sums as JSON."""
        return {kind: self.verdicts[kind] for kind in VERDICTS}


def tallied(source: str, seed: int, numbers: Iterable[int]) -> Tally:
    """The verdicts on some cases."""
    tally = Tally()
    for number in numbers:
        tally.add(number, verdict(source, seed, number))
    return tally


def _limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print a table and the first findings; 1 where there is one."""
    parser = argparse.ArgumentParser(prog="python -m fedrela.conformance.sources")
    parser.add_argument("--cases", type=int, default=10_000, help="of each source")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--source", action="append", choices=SOURCES, help="may be repeated; all without it")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at work")
    parser.add_argument("--json", type=Path, help="write the figures to this file; what it says of other sources stays")
    options = parser.parse_args(arguments)
    parts = [range(start, min(start + PART, options.cases)) for start in range(0, options.cases, PART)]
    packages = {name: metadata.version(name) for name in ("numpy", "pillow")}
    document: dict[str, Any] = {"seed": options.seed, "cases_of_each": options.cases, **packages, "sources": {}}
    found = False
    print(f"{'source':<8}" + "".join(f"{kind:>9}" for kind in VERDICTS))
    with ProcessPoolExecutor(options.jobs, initializer=_limit_memory) as pool:
        for source in options.source or SOURCES:
            tally = Tally()
            for part in pool.map(partial(tallied, source, options.seed), parts):
                tally.verdicts.update(part.verdicts)
                tally.findings += part.findings
                print(f"{source}: {tally.verdicts.total()} of {options.cases} cases", file=sys.stderr, flush=True)
            document["sources"][source] = tally.document()
            print(f"{source:<8}" + "".join(f"{tally.verdicts[kind]:>9}" for kind in VERDICTS), flush=True)
            for number, said in tally.findings[:EXAMPLES]:
                print(f"  case {number}: {said}")
            found = found or bool(tally.findings)
    if options.json:
        document["sources"] = _of_others(options.json, document) | document["sources"]
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return int(found)


def _of_others(file: Path, document: dict[str, Any]) -> dict[str, Any]:
    """What a file says of sources, if it was written of as many cases, of this seed and with these packages."""
    before = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    sources: dict[str, Any] = before.pop("sources", {})
    return sources if before == {key: value for key, value in document.items() if key != "sources"} else {}


if __name__ == "__main__":
    sys.exit(main())
