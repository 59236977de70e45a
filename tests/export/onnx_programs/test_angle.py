"""The angle of a point in ONNX, against torch's in every quadrant, on every axis and at every zero."""

from itertools import product

import numpy as np

from fedrela.export.onnx_programs.forms.angle import atan2
from tests.export.onnx_programs.form_runs import run, torches, uniform

ENDS = (0.0, -0.0, 1.0, -1.0, 1e-30, -1e-30, 3e38, -3e38, np.inf, -np.inf)


def test_axes_zeros_and_infinities():
    y, x = np.array(list(product(ENDS, ENDS)), np.float32).T[:, :, None]
    expected = np.arctan2(y, x)
    (found,) = run(atan2, [y, x])
    np.testing.assert_allclose(found, expected, rtol=3e-7, atol=1e-37)


def test_anywhere_else_and_spread():
    y, x = uniform(1, 500, 3), uniform(2, 500, 1)
    np.testing.assert_allclose(run(atan2, [y, x])[0], _torchs(y, x), rtol=1e-6)


def test_no_number_stays_visible():
    y, x = (np.array(values, np.float32)[:, None] for values in ([np.nan, 0, 1], [1, np.nan, np.nan]))
    assert np.isnan(run(atan2, [y, x])[0]).all()


def _torchs(y, x):
    first, second = torches(y, x)
    return first.atan2(second).numpy()
