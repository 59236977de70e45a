"""Every layer of the catalog, forward and backward, on both runtimes, against eager PyTorch over three steps."""

import pytest

from fedrela.export.layers import catalog
from fedrela.export.verification.equality import TOLERANCE
from fedrela.export.verification.replay import RUNTIMES
from tests.export.layers import layers_page


def marks(case: catalog.Case) -> tuple[pytest.MarkDecorator, ...]:
    """A recurrent net's program holds every step: of these, GRU and `LSTM over tokens` are lowered in every run."""
    return (pytest.mark.deep,) if case.name.startswith("LSTM") else ()


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("case", [pytest.param(case, id=case.name, marks=marks(case)) for case in catalog.CASES])
def test_layer(case, runtime):
    errors = catalog.check(case, runtime)
    beyond = {name: error for name, error in errors.items() if not error <= TOLERANCE}
    assert not beyond
    layers_page.record("layers", case.name, runtime, max(errors.values()))


def test_the_page_is_written_from_the_kept_figures():
    for table, rows in layers_page.ROWS.items():
        assert set(layers_page.read(table)) <= set(rows), "no figure outlives its row"
    assert layers_page.PAGE.read_text() == layers_page.page()
