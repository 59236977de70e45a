"""No wrong export: a module that was put together at random follows eager PyTorch for twenty steps, or is refused."""

from contextlib import suppress

import pytest
from hypothesis import given, seed, settings

from fedrela.core.errors import FedRelaError
from tests.export.verification.generated import LAYERS, build, follow, plans
from tests.export.verification.pieces import KINDS

REFUSED = {
    "count", "late count", "integer buffer", "flag", "cache of data", "last", "list", "batch", "values",
    "parameter", "of the class", "closure", "Python's random", "flips", "first size", "drop always", "permuted",
}  # fmt: skip


@pytest.mark.parametrize("kind", [*KINDS, *LAYERS])
def test_each_piece_alone_is_right_or_refused(kind):
    model = build([(kind, 2)], seed=0)
    if kind not in REFUSED:
        follow(model)
        return
    with pytest.raises(FedRelaError) as refused:
        follow(model)
    assert len(refused.value.problem) < 300


def right_or_refused(plan):
    """An error of our own, or twenty steps that agree."""
    with suppress(FedRelaError):
        follow(build(*plan))


@settings(max_examples=12, derandomize=True)
@given(plans())
def test_what_is_put_together_is_right_or_refused(plan):
    right_or_refused(plan)


def test_a_net_whose_digits_nobody_knows_is_not_called_wrong():
    follow(build([("batch norm", 1), ("uniform", 3), ("mask of size", 5), ("mask of size", 5)], seed=1756))


@pytest.mark.deep
@pytest.mark.parametrize("start", range(8))
def test_two_thousand_of_them(start):
    seed(start)(settings(max_examples=250, database=None)(given(plans())(right_or_refused)))()
