"""A member's turn in a secure round, the page's code against the Python device's: time of a processor for each part.

    cd web && npx tsc -p tsconfig.test.json && cd .. && python -m benchmarks.page_session

The page's code runs in Node.js, whose engine is Chromium's. The first member of a group of 16 is timed: "meeting" is
its keys, the check of the roster and the sealed shares; "masking" the vector behind 16 pads; "closing" the check of the
others' signatures and the shares revealed. The best of some repeats, in milliseconds; both give the same words. Bar:
the whole takes at most 10 times as long as in Python.
"""

import argparse
import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fedrela.core import signing, strict
from fedrela.core.secure import group as groups
from fedrela.core.secure import member as members
from fedrela.core.secure import statements
from fedrela.core.secure.group import Group
from fedrela.core.secure.member import Member, Secrets
from fedrela.core.secure.messages import Agreements, Inbox, RosterMember, Survivors
from fedrela.core.secure.roster import Terms
from fedrela.core.secure.statements import Work

RESULTS = Path(__file__).parent / "results" / "page_session.json"
WEB = Path(__file__).parents[1] / "web"
SCRIPT = WEB / ".test-build" / "web" / "conformance" / "session-times.js"
BAR = 10.0
GROUP = 16
SIZES = (100_000, 1_000_000, 11_000_000)
PARTS = ("meeting", "masking", "closing")


@dataclass(frozen=True)
class Session:
    """What the first member of a group is told, and its own secrets."""

    terms: Terms
    secrets: Secrets
    key: str
    group: Group
    inbox: Inbox
    survivors: Survivors
    agreements: Agreements
    vector: Any


@dataclass(frozen=True)
class Line:
    """One size of update, in parameters; milliseconds by part."""

    parameters: int
    page_ms: dict[str, float]
    python_ms: dict[str, float]
    ratio: float  # of the sums


def session(size: int) -> Session:
    """A whole session without losses, by Python; every member has the same vector."""
    vector = (np.arange(size, dtype=np.uint32) * np.uint32(0x9E3779B1)).view(np.int32)
    work = Work("aa" * 32, "bb" * 32, "cc" * 32, 3)
    keys = [f"{index:064x}" for index in range(1, GROUP + 1)]
    offers = [
        members.offer(Terms(f"a-{index}", work, "default", signing.public_key(key)), _secrets(index), key)
        for index, key in enumerate(keys, start=1)
    ]
    roster = tuple(
        RosterMember(index, one.terms.assignment_id, one.terms.identity_key, one.keys)
        for index, one in enumerate(offers, start=1)
    )
    group = groups.begin(roster, work)
    shared: list[Member] = []
    for index, one in enumerate(offers, start=1):
        member, shares = members.share(one, group.roster)
        group = groups.accept_shares(group, index, shares)
        shared.append(member)
    group = groups.advance(group, timed_out=False)
    masked: list[Member] = []
    for index, (one, key) in enumerate(zip(shared, keys, strict=True), start=1):
        member, _, proof = members.mask(one, groups.inbox(group, index), vector, key)
        group = groups.accept_masked(group, proof)
        masked.append(member)
    group = groups.advance(group, timed_out=False)
    survivors = Survivors(group.session, tuple(group.proofs[index] for index in group.survivors))
    for one, key in zip(masked, keys, strict=True):
        group = groups.accept_agreement(group, members.agree(one, survivors, key)[1])
    told = groups.inbox(group, 1), survivors, groups.signed(group)
    return Session(offers[0].terms, offers[0].secrets, keys[0], group, *told, vector)


def _secrets(index: int) -> Secrets:
    """Four different ones."""
    return Secrets(*(bytes([index, number]) * 16 for number in range(4)))


def python_times(played: Session, repeats: int) -> tuple[dict[str, float], str]:
    """The best milliseconds of each part, and the hash of the masked words."""
    best = dict.fromkeys(PARTS, float("inf"))

    def timed(part: str, step: Callable[[], Member]) -> Member:
        start = time.process_time()
        member = step()
        best[part] = min(best[part], 1000 * (time.process_time() - start))
        return member

    for _ in range(repeats):
        statements.verify.cache_clear()  # no device has verified these signatures before
        shared = timed("meeting", partial(meet, played))
        masked = timed("masking", partial(mask, played, shared))
        timed("closing", partial(close, played, masked))
    return best, masked.words_sha256


def meet(played: Session) -> Member:
    """A member's first two messages."""
    member = members.offer(played.terms, played.secrets, played.key)
    return members.share(member, played.group.roster)[0]


def mask(played: Session, shared: Member) -> Member:
    """Its update, hidden."""
    return members.mask(shared, played.inbox, played.vector, played.key)[0]


def close(played: Session, masked: Member) -> Member:
    """Its last two messages."""
    agreed, _ = members.agree(masked, played.survivors, played.key)
    return members.reveal(agreed, played.agreements)[0]


def page_times(played: Session, repeats: int) -> tuple[dict[str, float], str]:
    """The same of the page's code."""
    work = vars(played.terms.work)
    told = {
        "terms": {
            "assignmentId": played.terms.assignment_id,
            "work": work,
            "population": played.terms.population,
            "identityKey": played.terms.identity_key,
            "smallestGroup": played.terms.smallest_group,
        },
        "secrets": {name: secret.hex() for name, secret in vars(played.secrets).items()},
        "key": played.key,
        **{
            name: json.loads(strict.to_json(message))
            for name, message in (
                ("roster", played.group.roster),
                ("inbox", played.inbox),
                ("survivors", played.survivors),
                ("agreements", played.agreements),
            )
        },
        "size": played.vector.size,
        "repeats": repeats,
    }
    done = subprocess.run(["node", str(SCRIPT)], input=json.dumps(told), capture_output=True, text=True, check=True)
    times = json.loads(done.stdout)
    return {part: times[part] for part in PARTS}, times["words_sha256"]


def measure(size: int, repeats: int) -> Line:
    """Both, on the same session."""
    played = session(size)
    (page, page_sha), (python, python_sha) = page_times(played, repeats), python_times(played, repeats)
    assert page_sha == python_sha
    return Line(size, page, python, sum(page.values()) / sum(python.values()))


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parameters", type=int, nargs="+", default=SIZES)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    lines = [measure(size, arguments.repeats) for size in arguments.parameters]
    for line in lines:
        print(f"{line.parameters:>10,}", end="")
        for part in PARTS:
            print(f"  {part} {line.page_ms[part]:8.1f} ms ({line.python_ms[part]:.1f})", end="")
        print(f"  ratio {line.ratio:.1f}")
    document = {"group": GROUP, "bar": BAR, "lines": [asdict(line) for line in lines]}
    arguments.out.write_text(json.dumps(document, indent=2) + "\n")
    if any(line.ratio > BAR for line in lines):
        raise SystemExit(f"above the bar of {BAR} times")


if __name__ == "__main__":
    main()
