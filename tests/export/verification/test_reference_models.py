"""Every reference classifier as a bundle on both runtimes: exported, and verified against eager PyTorch.

The forms are narrow. The deep ones take minutes all the same, so `make test-deep` exports them, and so does
`make tables`, which writes the page of layers; `make test` keeps to the others. The full ones are exported by
`fedrela export fedrela.export.models:resnet18 --input uint8:3x32x32 --classes 10 --runtime both --out bundle`.
"""

import pytest

from fedrela.core import bundle
from fedrela.export.verification.replay import RUNTIMES, available
from tests.export.layers import layers_page
from tests.export.verification.reference_models import MODELS


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.deep] * row.deep) for name, row in MODELS.items()]
)
def test_model(name, runtime, reference_bundle):
    done = reference_bundle(name, runtime)
    opened = bundle.read(done.folder)
    assert available(opened) == (runtime,)
    (result,) = done.results
    trained = {f"new.{spec.name}" for spec in opened.manifest.weights}
    assert trained <= {key.split(".", 2)[2] for key in result.steps}, "every weight and statistic was compared"
    assert done.largest_error <= 1e-4
    layers_page.record("models", name, runtime, done.largest_error)
