"""Every layer of the catalog, forward and backward, on both runtimes, against eager PyTorch over three steps."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

from fedrela.export.layers import catalog
from fedrela.export.verification.equality import TOLERANCE
from fedrela.export.verification.replay import RUNTIMES
from tests.export.layers import layers_page

# Lowering for ExecuTorch takes long: of layers whose programs are lowered alike, one in every run. Linear layers, plain
# convolutions and dropout are in the nets of test_comparison, test_bundle and test_reference_models.
ON_EXECUTORCH = {
    "Conv2d (1x1, strided, padded)", "Conv2d (grouped)", "ConvTranspose2d", "MaxPool2d, overlapping, padded",
    "BatchNorm2d", "LayerNorm, RMSNorm", "GELU (exact and tanh)", "Embedding",
}  # fmt: skip

# Written in torch's own operators, whose values and gradients tests of their own compare with torch's.
OF_TORCH_S_OPERATORS = {
    "Conv3d, MaxPool3d, AvgPool3d", "MaxPool3d, AvgPool3d, overlapping, padded", "affine_grid, grid_sample",
    "EmbeddingBag", "LocalResponseNorm", "Bilinear", "sort, cumsum (sparsemax)", "topk, scatter (mixture of experts)",
}  # fmt: skip


def parameters() -> Iterator[Any]:
    """Every layer on every runtime; the deep ones with `make test-deep`."""
    for case, runtime in product(catalog.CASES, RUNTIMES):
        deep = (
            case.name.startswith("LSTM")
            or case.name in OF_TORCH_S_OPERATORS
            or (runtime == "executorch" and case.name not in ON_EXECUTORCH)
        )
        yield pytest.param(case, runtime, id=f"{case.name}-{runtime}", marks=(pytest.mark.deep,) if deep else ())


def test_every_kind_has_its_layer():
    assert {case.name for case in catalog.CASES} >= ON_EXECUTORCH | OF_TORCH_S_OPERATORS


@pytest.mark.parametrize(("case", "runtime"), list(parameters()))
def test_layer(case, runtime):
    errors = catalog.check(case, runtime)
    beyond = {name: error for name, error in errors.items() if not error <= TOLERANCE}
    assert not beyond
    layers_page.record("layers", case.name, runtime, max(errors.values()))


def test_the_page_is_written_from_the_kept_figures():
    for table, rows in layers_page.ROWS.items():
        assert set(layers_page.read(table)) <= set(rows), "no figure outlives its row"
    assert layers_page.PAGE.read_text() == layers_page.page()
