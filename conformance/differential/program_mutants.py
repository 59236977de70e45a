"""Mutants of ONNX programs: a good one or a hostile one with some of its fields and bytes changed.

>>> mutant(Random(1)) == mutant(Random(1))
True
"""

from base64 import b64decode
from functools import lru_cache
from random import Random

from fedrela.conformance import program_cases
from fedrela.conformance.differential import literals
from fedrela.conformance.protobuf import delimited, fixed32, number, varint
from fedrela.core.errors import InvalidBundle
from fedrela.core.onnx_files.fields import fields

_NUMBERS = (0, 1, 2, 7, 8, 17, 18, 21, 22, 99_999, 100_001, 2**31 - 1, 2**31, 2**32 + 5, 2**53 + 1, 2**63, 2**64 + 5)


def mutant(draw: Random) -> tuple[bytes, tuple[str, ...]]:
    """A program, and what was done to it."""
    body = draw.choice(_bodies())
    changes = []
    for _ in range(draw.choices((0, 1, 2, 4), (2, 60, 25, 13))[0]):
        if draw.random() < 0.7:
            body = _rewritten(body, draw, draw.randrange(6))
            changes.append("field")
        elif body:
            body = literals.damaged(body, draw)
            changes.append("damaged")
    return body, tuple(changes)


@lru_cache(maxsize=1)
def _bodies() -> tuple[bytes, ...]:
    cases = program_cases.build()["cases"]
    good, hostile = ([b64decode(case["base64"]) for case in cases if case["valid"] is valid] for valid in (True, False))
    return (*good * 4, *hostile)


def _rewritten(message: bytes, draw: Random, depth: int) -> bytes:
    """One field of the message, or of one within, changed: lost, said twice, with another number, form or content."""
    try:
        parts = [(field, bytes(raw), bytes(content)) for field, raw, content in fields(message)]
    except InvalidBundle:
        return message
    if not parts:
        return draw.choice((b"", varint(draw.randrange(1, 30), draw.choice(_NUMBERS)), delimited(1, b"x")))
    at = draw.randrange(len(parts))
    field, raw, content = parts[at]
    if content and depth:
        changed = delimited(field, _rewritten(content, draw, depth - 1))
    else:
        changed = draw.choice(
            (
                b"",
                raw + raw,
                varint(field, draw.choice(_NUMBERS)),
                fixed32(field),
                delimited(draw.randrange(1, 30), content),
                delimited(
                    field, draw.choice((b"", b"Add", b"Loop", b"axis", number(5), number(2**40), bytes(8), b"\xff"))
                ),
            )
        )
    return b"".join([*(raw for _, raw, _ in parts[:at]), changed, *(raw for _, raw, _ in parts[at + 1 :])])
