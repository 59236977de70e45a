"""`python -m fedrela.conformance.differential`: see the package.

$ python -m fedrela.conformance.differential --cases 20000 --seed 7 --client "page=node verdicts.js"
"""

import argparse
import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from fedrela.conformance.differential.mutants import CLIENT_KINDS, case
from fedrela.conformance.differential.report import Tally
from fedrela.conformance.differential.verdicts import ClientProgram, python_verdicts

BATCH = 1000  # cases that a client is sent at once
PART = 20_000  # cases that a process takes at once
PYTHON = "python"


def compare(numbers: range, seed: int, commands: Mapping[str, str]) -> Tally:
    """The verdicts of Python and of every client program, given by name, on the cases of a seed."""
    tally = Tally(seed)
    programs = [ClientProgram(name, command) for name, command in commands.items()]
    try:
        for batch in _parts(numbers, BATCH):
            _compare_batch(tally, batch, programs)
    finally:
        for program in programs:
            program.close()
    return tally


def _compare_batch(tally: Tally, numbers: range, programs: Sequence[ClientProgram]) -> None:
    cases = [case(tally.seed, number) for number in numbers]
    common = [item for item in cases if item.kind in CLIENT_KINDS]
    for program in programs:
        program.ask(common)
    own = python_verdicts(cases)
    others = {program.name: iter(program.verdicts(len(common))) for program in programs}
    for at, item in enumerate(cases):
        answers = others if item.kind in CLIENT_KINDS else {}
        verdicts = {PYTHON: own[at], **{name: next(verdict) for name, verdict in answers.items()}}
        tally.add(numbers[at], item, verdicts)


def _parts(numbers: range, size: int) -> Iterator[range]:
    return (numbers[start : start + size] for start in range(0, len(numbers), size))


def _named(client: str) -> tuple[str, str]:
    """Name and command of `page=node verdicts.js`; a command without a name is called by itself."""
    match = re.fullmatch(r"([a-z]+)=(.+)", client, re.DOTALL)
    return (match[1], match[2]) if match else (client, client)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print the table and the first differences; 1 where there is a difference or a foreign exception."""
    parser = argparse.ArgumentParser(prog="python -m fedrela.conformance.differential")
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--client", action="append", default=[], help="a program that gives verdicts; may be repeated")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="processes at work, each with its clients"
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args(arguments)
    clients = dict(_named(client) for client in options.client)
    for command in clients.values():
        if shutil.which(shlex.split(command)[0]) is None:
            parser.error(f"there is no program {command!r}")
    tally = Tally(options.seed)
    numbers = range(options.first, options.first + options.cases)
    with ProcessPoolExecutor(options.jobs) as pool:
        work = partial(compare, seed=options.seed, commands=clients)
        for part in pool.map(work, _parts(numbers, PART)):
            tally.merge(part)
            print(
                f"{tally.cases} of {options.cases} cases, {tally.differences} differences", file=sys.stderr, flush=True
            )
    print(tally.table())
    for example in tally.examples:
        print(example.text())
    if options.json:
        options.json.write_text(json.dumps(tally.document([*clients]), indent=1) + "\n", encoding="utf-8")
    return 1 if tally.differences or tally.foreign else 0


if __name__ == "__main__":
    sys.exit(main())
