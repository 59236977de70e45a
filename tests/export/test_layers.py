"""Every layer of the catalogue, forward and backward, on both runtimes, against eager PyTorch over three steps."""

import pytest

from export import layers
from export.replay import RUNTIMES
from export.verify import TOLERANCE
from tests.export import layers_page

ROWS = [case.name for case in layers.CASES]


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("case", layers.CASES, ids=lambda case: case.name)
def test_layer(case, runtime):
    errors = layers.check(case, runtime)
    beyond = {name: error for name, error in errors.items() if not error <= TOLERANCE}
    assert not beyond
    layers_page.record("layers", ROWS, case.name, runtime, max(errors.values()))


def test_every_row_of_the_page_was_measured_by_these_tests_and_no_row_is_missing():
    results = layers_page.read("layers")
    assert list(results) == ROWS
    assert all(set(found) == set(RUNTIMES) for found in results.values())
    assert layers_page.PAGE.read_text() == layers_page.page()
