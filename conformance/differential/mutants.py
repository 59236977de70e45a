"""Case number i of a seed: a good body with a few things changed in it, always the same ones.

>>> case(0, 5) == case(0, 5), case(0, 5) == case(1, 5)
(True, False)
"""

import marshal
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from fedrela.conformance.differential import (
    large,
    literals,
    picture_mutants,
    program_mutants,
    tensor_mutants,
    update_mutants,
)
from fedrela.conformance.differential.bodies import CLASSES, PROGRAM, TENSORS, TO_COORDINATOR, goods
from fedrela.conformance.differential.changes import CHANGES, IMPOSSIBLE, WEIGHTS

_FILES: dict[str, Callable[[Random], tuple[bytes, tuple[str, ...]]]] = {
    TENSORS: tensor_mutants.mutant,
    PROGRAM: program_mutants.mutant,
    "Picture": picture_mutants.mutant,
    "Update": update_mutants.update_mutant,
    "Bundle": update_mutants.bundle_mutant,
}
KINDS = (*CLASSES, *_FILES)
# Every client reads these; the others the coordinator does, a publisher's tools, or each client in a way of its own.
CLIENT_KINDS = (*(kind for kind in CLASSES if kind not in TO_COORDINATOR), TENSORS, PROGRAM)
_TURNS = (*KINDS, "Task", "Manifest", *_FILES)  # the larger ones come more often
_LARGE_EVERY = 20_011  # cases; a prime, so that each kind has its turn


@dataclass(frozen=True)
class Case:
    """One body, and which kind of message it claims to be."""

    kind: str
    body: bytes
    changes: tuple[str, ...]  # what was done to it, for a reader


def case(seed: int, number: int) -> Case:
    """The case of a number."""
    draw = Random((seed << 40) + number)
    kind = _TURNS[number % len(_TURNS)]
    if number % _LARGE_EVERY == _LARGE_EVERY - 1:
        return Case(kind, *large.body(kind, draw))
    if kind in _FILES:
        return Case(kind, *_FILES[kind](draw))
    good = draw.choice(goods()[kind])
    tree = marshal.loads(good.dumped)
    changes: list[str] = []
    for _ in range(draw.choices((0, 1, 2, 3, 6), (2, 60, 20, 10, 8))[0]):
        change = draw.choices(CHANGES, WEIGHTS)[0]
        try:
            tree = change(tree, good, draw)
        except IMPOSSIBLE:
            continue  # an earlier change took away what this one wanted to change
        changes.append(change.__name__.strip("_"))
    separators = draw.choice(((", ", ": "), (",", ":"), (" ,\n", "\t:\r\n")))
    text = literals.render(tree, ensure_ascii=draw.random() < 0.3, separators=separators)
    way = draw.random()
    if way < 0.03:
        return Case(kind, literals.encoded(text, draw), (*changes, "encoded"))
    body = text.encode("utf-8", "surrogatepass")
    if way < 0.13:
        return Case(kind, literals.damaged(body, draw), (*changes, "damaged"))
    return Case(kind, body, tuple(changes))
