"""The Kotlin client judges .pte files as the Python device does: the same kernels, the same verdict on every file."""

import re
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from fedrela.conformance.differential import literals
from fedrela.conformance.differential.mutants import Case
from fedrela.conformance.differential.verdicts import ClientProgram
from fedrela.core.errors import FedRelaError
from fedrela.core.pte_files import rules
from fedrela.core.pte_files.kernels import KERNELS
from tests.android.device import line
from tests.core.pte_files import test_loops as loops
from tests.core.pte_files.test_rules import GOOD, PROGRAMS, SMALL, SPOILERS, short_header, written

pytestmark = pytest.mark.android

SOURCE = Path(__file__).parents[2] / "android/executorch/src/main/kotlin/org/fedrela/executorch/Kernels.kt"
MUTANTS = 5_000


def kotlin_verdicts(bodies: list[bytes]) -> list[str]:
    program = ClientProgram("android", line("verdicts"))
    try:
        program.ask([Case("Pte", body, ()) for body in bodies])
        return program.verdicts(len(bodies))
    finally:
        program.close()


def python_verdict(body: bytes) -> str:
    try:
        rules.check(body, "p")
    except FedRelaError:
        return "refused"
    return "accepted"


def mutant(draw: Random, programs: Sequence[bytes]) -> bytes:
    """A program with some of its bytes changed: as an offset, a size or a count, or wherever it falls."""
    body = bytearray(draw.choice(programs))
    for _ in range(draw.choice((1, 1, 2, 4))):
        at = draw.randrange(len(body) - 8)
        size = draw.choice((1, 2, 4, 8))
        value = draw.choice((0, 1, 2, 11, 17, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1, draw.randrange(2**64)))
        body[at : at + size] = (value % 2 ** (8 * size)).to_bytes(size, "little")
    return literals.damaged(bytes(body), draw) if draw.random() < 0.1 else bytes(body)


def test_the_kernels_are_the_same() -> None:
    words = dict(re.findall(r'const val (\w+) = "+\s*([^"]*?)\s*"+', SOURCE.read_text()))
    spaces = {"ATEN": "aten", "DIM_ORDER": "dim_order_ops", "OF_SIZES": "executorch_prim"}
    found = {f"{spaces[name]}::{kernel}" for name, kernels in words.items() for kernel in kernels.split()}
    assert found == KERNELS


def test_what_the_exporter_writes_is_accepted() -> None:
    bodies = [path.read_bytes() for path in PROGRAMS] + [written(lambda plan: None)]
    assert kotlin_verdicts(bodies) == ["accepted"] * len(bodies)


def test_what_it_does_not_write_is_refused() -> None:
    bodies = [written(spoil) for spoil in SPOILERS]
    bodies += [b"", b"no program", GOOD[:7], GOOD[: len(GOOD) // 2], b"\xff" * 100, bytes(100), short_header()]
    assert kotlin_verdicts(bodies) == ["refused"] * len(bodies)


def test_a_loop_that_is_seen_to_end_is_accepted_and_no_other() -> None:
    body = loops.exported()
    bodies = [body, *(loops.spoiled(body, spoil) for spoil in loops.SPOILS)]
    assert kotlin_verdicts(bodies) == ["accepted"] + ["refused"] * len(loops.SPOILS)


def test_mutants_get_one_verdict() -> None:
    draw = Random(5)
    programs = (SMALL, SMALL, SMALL, GOOD, loops.exported())
    bodies = [mutant(draw, programs) for _ in range(MUTANTS)]
    own = [python_verdict(body) for body in bodies]
    assert kotlin_verdicts(bodies) == own
    assert min(own.count("accepted"), own.count("refused")) > MUTANTS // 20
