"""The verb `evaluate`: figures of every round from the operator's own test set, and none from anywhere else."""

import pytest

from fedrela.conformance.files import ROUNDS_BUNDLE
from fedrela.core import bundle
from fedrela.core.errors import InvalidInput
from fedrela.emulator import evaluating


@pytest.fixture(scope="module")
def manifest():
    return bundle.read(ROUNDS_BUNDLE).manifest


def test_groups_are_named_by_class_and_the_others_are_medium(manifest):
    assert evaluating.class_groups(manifest, "", "") == ((), (), ())
    assert evaluating.class_groups(manifest, "0, 1", "9") == ((0, 1), (2, 3, 4, 5, 6, 7, 8), (9,))


@pytest.mark.parametrize(("many", "few"), [("ten", ""), ("0,1", "1"), ("", "10")])
def test_a_wrong_class_is_refused(manifest, many, few):
    with pytest.raises(InvalidInput):
        evaluating.class_groups(manifest, many, few)
