"""Every layer of the catalogue, forward and backward, on both runtimes, against eager PyTorch over three steps."""

import json
from pathlib import Path

import pytest

from export import layers
from export.replay import RUNTIMES

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("case", layers.CASES, ids=lambda case: case.name)
def test_layer(case, runtime):
    errors = layers.check(case, runtime)
    beyond = {name: error for name, error in errors.items() if not error <= layers.TOLERANCE}
    assert not beyond


def test_the_table_in_the_docs_is_written_from_the_measured_results():
    results = json.loads((ROOT / "benchmarks" / "results" / "layers.json").read_text())
    assert (ROOT / "docs" / "layers.md").read_text() == layers.table(results)
