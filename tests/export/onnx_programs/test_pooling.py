"""The ONNX forms of max pooling against eager PyTorch: ties, overlaps, padding, what is cut off or left over."""

from typing import Any

import numpy as np
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnxscript import opset18 as op

from fedrela.export.onnx_programs.forms import activation, max_pool, mean_pool
from tests.export.onnx_programs.form_runs import build, close, run, torches, uniform

aten = torch.ops.aten


@st.composite
def poolings(draw: st.DrawFn) -> dict:
    kernel = [draw(st.integers(1, 4)) for _ in range(2)]
    separate = draw(st.booleans())
    dilation = [1 if separate else draw(st.integers(1, 2)) for _ in range(2)]
    case: dict[str, Any] = {
        "shape": [draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(4, 11)), draw(st.integers(4, 11))],
        "kernel": kernel,
        "stride": kernel if separate else [draw(st.integers(1, 3)) for _ in range(2)],
        "padding": [0 if separate else draw(st.integers(0, k // 2)) for k in kernel],
        "dilation": dilation,
        "ceil": draw(st.booleans()),
        "levels": draw(st.sampled_from([1, 2, 5, 1000])),
    }
    room = zip(case["shape"][2:], case["padding"], kernel, dilation, strict=True)
    assume(all(size + 2 * p >= d * (k - 1) + 1 for size, p, k, d in room))
    return case


@settings(max_examples=60, deadline=None, derandomize=True)
@given(poolings(), st.integers(0, 2**31))
def test_max_pool_sends_gradients_to_the_first_maximum(case: dict, seed: int) -> None:
    """Few levels make ties; windows overlap, are padded, dilated, cut off or left over."""
    x = np.random.default_rng(seed).integers(0, case["levels"], case["shape"]).astype(np.float32)
    how = [case[key] for key in ("kernel", "stride", "padding", "dilation", "ceil")]
    values, indices = aten.max_pool2d_with_indices(*torches(x), *how)
    got_values, got_indices = run(max_pool.max_pool2d_with_indices, [x], *how)
    assert np.array_equal(values.numpy(), got_values)
    assert np.array_equal(indices.numpy(), got_indices)
    grad = uniform(seed + 1, *values.shape)
    expected = aten.max_pool2d_with_indices_backward(*torches(grad, x), *how, indices)

    def backward(x: object, grad: object) -> object:
        _, places = max_pool.max_pool2d_with_indices(x, *how)
        return max_pool.max_pool2d_with_indices_backward(grad, x, *(*how, places))

    close(expected, run(backward, [x, grad])[0])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(poolings(), st.integers(0, 2**31), st.sampled_from([None, 1, 3, 7]), st.booleans())
def test_mean_pool_divides_as_it_is_told(case: dict, seed: int, divisor: int | None, counted: bool) -> None:
    assume(divisor or not case["ceil"])  # torch's own form, whose last window differs with ONNX Runtime's version
    assume(
        all(size + 2 * p >= k for size, p, k in zip(case["shape"][2:], case["padding"], case["kernel"], strict=True))
    )
    x = uniform(seed, *case["shape"])
    how = [*(case[key] for key in ("kernel", "stride", "padding", "ceil")), counted, divisor]
    close(aten.avg_pool2d(*torches(x), *how), run(mean_pool.avg_pool2d, [x], *how)[0])


def test_a_constant_image_has_one_maximum_per_window() -> None:
    def backward(x: object, grad: object) -> object:
        how: tuple[Any, ...] = ([2, 2], [2, 2], [0, 0], [1, 1], False)
        return max_pool.max_pool2d_with_indices_backward(grad, x, *(*how, None))

    result = run(backward, [np.zeros((1, 1, 4, 4), np.float32), np.ones((1, 1, 2, 2), np.float32)])[0]
    assert result[0, 0].tolist() == [[1, 0, 1, 0], [0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]


@settings(max_examples=30, deadline=None, derandomize=True)
@given(poolings(), st.integers(0, 2**31))
def test_relu_below_a_pooling_keeps_values_and_gradients(case: dict, seed: int) -> None:
    """Whole numbers around 0: ties, windows without anything positive, zeros."""
    z = np.random.default_rng(seed).integers(-3, 3, case["shape"]).astype(np.float32)
    how = [case[key] for key in ("kernel", "stride", "padding", "dilation", "ceil")]
    start = torch.from_numpy(z).requires_grad_()
    values = aten.max_pool2d_with_indices(torch.relu(start), *how)[0]
    grad = uniform(seed + 1, *values.shape)
    (expected,) = torch.autograd.grad(values, start, torch.from_numpy(grad))

    def both(z: Any, grad: Any) -> Any:
        y = op.Relu(z)
        y.shape = z.shape
        pooled, places = max_pool.max_pool2d_with_indices(y, *how)
        below = max_pool.max_pool2d_with_indices_backward(grad, y, *(*how, places))
        return pooled, activation.threshold_backward(below, y, 0)

    got_values, got = run(both, [z, grad])
    assert np.array_equal(values.detach().numpy(), got_values)
    close(expected, got)


def test_separate_windows_ask_for_no_indices_and_scatter_nothing() -> None:
    def backward(grad: object, x: object) -> object:
        how: tuple[Any, ...] = ([2, 2], [2, 2], [0, 0], [1, 1], False)
        return max_pool.max_pool2d_with_indices_backward(grad, x, *(*how, None))

    _, operators = build(backward, [uniform(0, 2, 3, 4, 4), uniform(1, 2, 3, 8, 8)])
    assert not {"ScatterElements", "MaxUnpool", "Where"} & set(operators)
