"""What is told of a run: how many of each kind were accepted and refused, and where verdicts differ."""

from base64 import b64encode
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from fedrela.conformance.differential.mutants import KINDS, Case
from fedrela.conformance.differential.verdicts import ACCEPTED, FOREIGN, REFUSED

EXAMPLES = 10


@dataclass(frozen=True)
class Difference:
    """A case on which not all say the same, or where an exception was none of ours."""

    number: int
    case: Case
    verdicts: dict[str, str]  # by client

    def text(self) -> str:
        """For a reader."""
        said = ", ".join(f"{client}: {verdict}" for client, verdict in self.verdicts.items())
        changes = ", ".join(self.case.changes)
        return f"case {self.number}, {self.case.kind} ({changes})\n  {said}\n  {self.case.body[:600]!r}"


@dataclass
class Tally:
    """The sums of a run; `add` is called once per case."""

    seed: int
    cases: int = 0
    differences: int = 0
    foreign: int = 0
    verdicts: Counter[tuple[str, str]] = field(default_factory=Counter)  # Python's, by kind
    by_client: Counter[str] = field(default_factory=Counter)  # differences from Python
    examples: list[Difference] = field(default_factory=list)

    def add(self, number: int, case: Case, verdicts: dict[str, str]) -> None:
        """Count a case by the verdicts of all clients, Python's first."""
        python, *_ = verdicts.values()
        self.cases += 1
        self.verdicts[case.kind, python.partition(":")[0]] += 1
        differing = [client for client, verdict in verdicts.items() if verdict != python]
        foreign = any(verdict not in (ACCEPTED, REFUSED) for verdict in verdicts.values())
        self.by_client.update(differing)
        self.differences += bool(differing)
        self.foreign += foreign
        if (differing or foreign) and len(self.examples) < EXAMPLES:
            self.examples.append(Difference(number, case, verdicts))

    def merge(self, other: "Tally") -> None:
        """Add the sums of other cases, which come after these."""
        self.cases += other.cases
        self.differences += other.differences
        self.foreign += other.foreign
        self.verdicts.update(other.verdicts)
        self.by_client.update(other.by_client)
        self.examples.extend(other.examples[: EXAMPLES - len(self.examples)])

    def table(self) -> str:
        """Accepted and refused by kind."""
        rows = [f"{'kind':<16} {'cases':>9} {'accepted':>9} {'refused':>9} {'foreign':>8}"]
        for kind in KINDS:
            counts = [self.verdicts[kind, verdict] for verdict in (ACCEPTED, REFUSED, FOREIGN)]
            rows.append(f"{kind:<16} {sum(counts):>9} {counts[0]:>9} {counts[1]:>9} {counts[2]:>8}")
        rows.append(f"{self.cases} cases, {self.differences} differences, {self.foreign} foreign exceptions")
        return "\n".join(rows)

    def document(self, clients: list[str]) -> dict[str, Any]:
        """The same as JSON."""
        kinds = {kind: {verdict: self.verdicts[kind, verdict] for verdict in (ACCEPTED, REFUSED)} for kind in KINDS}
        examples = [
            {
                "number": item.number,
                "kind": item.case.kind,
                "verdicts": item.verdicts,
                "body": b64encode(item.case.body).decode(),
            }
            for item in self.examples
        ]
        return {
            "seed": self.seed,
            "cases": self.cases,
            "differences": self.differences,
            "foreign": self.foreign,
            "clients": {client: self.by_client[client] for client in clients},
            "kinds": kinds,
            "examples": examples,
        }
