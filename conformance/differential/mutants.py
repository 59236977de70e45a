"""Case number i of a seed: a good body with a few things changed in it, always the same ones.

>>> case(0, 5) == case(0, 5), case(0, 5) == case(1, 5)
(True, False)
"""

import marshal
from dataclasses import dataclass
from random import Random

from fedrela.conformance.differential import literals, program_mutants, tensor_mutants
from fedrela.conformance.differential.bodies import CLASSES, PROGRAM, TENSORS, goods
from fedrela.conformance.differential.changes import CHANGES, IMPOSSIBLE, WEIGHTS

KINDS = (*CLASSES, TENSORS, PROGRAM)
_TURNS = (*KINDS, "Task", "Manifest", "Safetensors")  # the larger ones come more often


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
    if kind == TENSORS:
        return Case(kind, *tensor_mutants.mutant(draw))
    if kind == PROGRAM:
        return Case(kind, *program_mutants.mutant(draw))
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
