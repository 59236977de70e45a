"""Every ONNX form against eager PyTorch: drawn strides, dilation, groups, odd sizes; ties, NaN, infinity."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnxscript import opset18 as op

from fedrela.export.onnx_programs import forms
from fedrela.export.onnx_programs.forms import activation, convolution, group_norm, max_pool
from tests.export.onnx_programs.form_runs import build, relative_error, run

aten = torch.ops.aten
TOLERANCE = 1e-5
few = settings(max_examples=25, deadline=None, derandomize=True)


def uniform(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def close(expected: object, actual: np.ndarray) -> None:
    assert relative_error(np.asarray(expected), actual) <= TOLERANCE


def torches(*arrays: np.ndarray | None) -> list[torch.Tensor | None]:
    return [None if array is None else torch.from_numpy(array) for array in arrays]


@st.composite
def convolutions(draw: st.DrawFn, rank: int) -> dict:
    """Sizes and settings of a convolution that PyTorch accepts."""
    groups = draw(st.sampled_from([1, 1, 2, 4]))
    axes = range(rank)
    kernel = [draw(st.integers(1, 3)) for _ in axes]
    dilation = [draw(st.integers(1, 2)) for _ in axes]
    case = {
        "batch": draw(st.integers(1, 3)),
        "inputs": groups * draw(st.integers(1, 3)),
        "outputs": groups * draw(st.integers(1, 3)),
        "sizes": [draw(st.integers(1, 9)) for _ in axes],
        "kernel": kernel,
        "stride": [draw(st.integers(1, 3)) for _ in axes],
        "padding": [draw(st.integers(0, 2)) for _ in axes],
        "dilation": dilation,
        "groups": groups,
        "transposed": draw(st.booleans()),
        "bias": draw(st.booleans()),
    }
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    if case["transposed"]:
        full = [(s - 1) * t - 2 * p + r for s, t, p, r in _axes(case, reach)]
        case["surplus"] = [draw(st.integers(0, max(t, d) - 1)) for t, d in zip(case["stride"], dilation, strict=True)]
        assume(all(f + o >= 1 for f, o in zip(full, case["surplus"], strict=True)))
    else:
        case["surplus"] = [0] * rank
        assume(all(s + 2 * p >= r for s, _, p, r in _axes(case, reach)))
    return case


def _axes(case: dict, reach: list[int]) -> zip:
    return zip(case["sizes"], case["stride"], case["padding"], reach, strict=True)


def check_convolution(case: dict) -> None:
    x = uniform(1, case["batch"], case["inputs"], *case["sizes"])
    first, second = case["inputs"], case["outputs"]
    outer = (first, second // case["groups"]) if case["transposed"] else (second, first // case["groups"])
    weight, bias = uniform(2, *outer, *case["kernel"]), uniform(3, second) if case["bias"] else None
    how = [case[key] for key in ("stride", "padding", "dilation", "transposed", "surplus", "groups")]
    expected = aten.convolution(*torches(x, weight, bias), *how)
    parts = [x, weight, bias] if bias is not None else [x, weight]
    for form in (convolution.convolution, convolution.convolution_by_constants):
        _fixed(form if bias is not None else _without_bias(form), parts, how, expected.numpy(), weight_at=1)
    grad = uniform(4, *expected.shape)
    wanted = aten.convolution_backward(*torches(grad, x, weight), [second], *how, [True] * 3)
    actual = run_backward(grad, x, weight, [second], *how)
    for want, got in zip(wanted, actual, strict=True):
        close(want, got)


def _without_bias(form: Callable[..., object]) -> Callable[..., object]:
    return lambda x, weight, *how: form(x, weight, None, *how)


def _fixed(form: object, parts: list, how: list, expected: np.ndarray, weight_at: int) -> None:
    def with_static_weight(*values: object) -> object:
        _make_static(values[weight_at], parts[weight_at])
        return form(*values, *how)  # type: ignore[operator]

    close(expected, run(with_static_weight, parts)[0])


def run_backward(grad: np.ndarray, x: np.ndarray, weight: np.ndarray, bias_sizes: list[int], *how: object) -> list:
    def form(grad: object, x: object, weight: object) -> object:
        return convolution.convolution_backward(grad, x, weight, bias_sizes, *how, [True] * 3)

    return run(form, [grad, x, weight])


def _make_static(value: object, array: np.ndarray) -> None:
    import onnx_ir as ir

    value.shape = ir.Shape(array.shape)  # type: ignore[attr-defined]


@few
@given(convolutions(2))
def test_convolution_2d(case: dict) -> None:
    check_convolution(case)


@few
@given(convolutions(1))
def test_convolution_1d(case: dict) -> None:
    check_convolution(case)


@settings(max_examples=6, deadline=None, derandomize=True)
@given(convolutions(3))
def test_convolution_3d(case: dict) -> None:
    check_convolution(case)


LAYERS = {
    "stem": (3, 16, 32, 3, 1, 1, 1),
    "narrow": (16, 16, 32, 3, 1, 1, 1),
    "strided": (16, 32, 16, 3, 2, 1, 1),
    "odd strided": (16, 32, 15, 3, 2, 1, 1),
    "pointwise": (24, 96, 16, 1, 1, 0, 1),
    "pointwise, small maps": (64, 96, 2, 1, 1, 0, 1),
    "pointwise strided": (16, 32, 16, 1, 2, 0, 1),
    "pointwise strided, odd": (16, 32, 15, 1, 2, 0, 1),
    "pointwise padded": (8, 8, 6, 1, 1, 1, 1),
    "wide": (128, 128, 8, 3, 1, 1, 1),
    "wide, no padding": (128, 128, 8, 3, 1, 0, 1),
    "depthwise": (32, 32, 16, 3, 1, 1, 32),
    "depthwise strided": (32, 32, 16, 3, 2, 1, 32),
    "depthwise 5x5": (8, 8, 16, 5, 1, 2, 8),
    "depthwise, long rows": (4, 4, 64, 3, 1, 1, 4),
    "depthwise multiplier": (8, 16, 8, 3, 1, 1, 8),
    "grouped": (32, 64, 8, 3, 1, 1, 4),
}


@pytest.mark.parametrize("layer", LAYERS)
def test_layers_of_real_networks(layer: str) -> None:
    inputs, outputs, size, kernel, stride, padding, groups = LAYERS[layer]
    check_convolution(
        {
            "batch": 3,
            "inputs": inputs,
            "outputs": outputs,
            "sizes": [size, size],
            "kernel": [kernel, kernel],
            "stride": [stride, stride],
            "padding": [padding, padding],
            "dilation": [1, 1],
            "groups": groups,
            "transposed": False,
            "surplus": [0, 0],
            "bias": True,
        }
    )


@st.composite
def poolings(draw: st.DrawFn) -> dict:
    kernel = [draw(st.integers(1, 4)) for _ in range(2)]
    separate = draw(st.booleans())
    dilation = [1 if separate else draw(st.integers(1, 2)) for _ in range(2)]
    case = {
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
        return max_pool.max_pool2d_with_indices_backward(grad, x, *how, places)

    close(expected, run(backward, [x, grad])[0])


def test_a_constant_image_has_one_maximum_per_window() -> None:
    def backward(x: object, grad: object) -> object:
        how = ([2, 2], [2, 2], [0, 0], [1, 1], False)
        return max_pool.max_pool2d_with_indices_backward(grad, x, *how, None)

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
        below = max_pool.max_pool2d_with_indices_backward(grad, y, *how, places)
        return pooled, activation.threshold_backward(below, y, 0)

    got_values, got = run(both, [z, grad])
    assert np.array_equal(values.detach().numpy(), got_values)
    close(expected, got)


def test_separate_windows_ask_for_no_indices_and_scatter_nothing() -> None:
    def backward(grad: object, x: object) -> object:
        how = ([2, 2], [2, 2], [0, 0], [1, 1], False)
        return max_pool.max_pool2d_with_indices_backward(grad, x, *how, None)

    _, operators = build(backward, [uniform(0, 2, 3, 4, 4), uniform(1, 2, 3, 8, 8)])
    assert not {"ScatterElements", "MaxUnpool", "Where"} & set(operators)


@few
@given(
    st.integers(1, 3),
    st.sampled_from([(1, 4), (2, 4), (4, 8), (8, 8)]),
    st.lists(st.integers(1, 6), max_size=2),
    st.booleans(),
    st.floats(-30, 30),
)
def test_group_norm(batch: int, groups: tuple[int, int], sizes: list[int], affine: bool, offset: float) -> None:
    group, channels = groups
    positions = int(np.prod(sizes))
    assume(channels // group * positions > 1)
    x = uniform(1, batch, channels, *sizes) + np.float32(offset)
    weight, bias = (uniform(2, channels), uniform(3, channels)) if affine else (None, None)
    shape = (batch, channels, positions, group)
    expected = aten.native_group_norm(*torches(x, weight, bias), *shape, 1e-5)
    parts = [array for array in (x, weight, bias) if array is not None]

    def forward(x: object, weight: object = None, bias: object = None) -> object:
        return group_norm.native_group_norm(x, weight, bias, None, channels, positions, group, 1e-5)

    for want, got in zip(expected, run(forward, parts), strict=True):
        assert np.allclose(want, got, rtol=1e-4, atol=1e-4)
    grad = uniform(4, *x.shape)
    exact = [None if part is None else part.double() for part in torches(grad, x, weight)]
    statistics = aten.native_group_norm(exact[1], None, None, *shape, 1e-5)[1:]
    wanted = aten.native_group_norm_backward(*exact[:2], *statistics, exact[2], *shape, [True, affine, affine])

    def backward(x: object, grad: object, weight: object = None) -> object:
        _, mean, rstd = group_norm.native_group_norm(x, None, None, None, channels, positions, group, 1e-5)
        mask = [True, affine, affine]
        return group_norm.native_group_norm_backward(
            grad, x, mean, rstd, weight, None, channels, positions, group, mask
        )

    actual = run(backward, [x, grad] if weight is None else [x, grad, weight])
    # A group of two or three nearly equal numbers cancels: the scale is that of the terms, not of their sum.
    largest = [np.abs(grad).max() * float(statistics[1].max()) * (1.0 if weight is None else np.abs(weight).max())]
    largest += [np.abs(grad).sum() * 3, np.abs(grad).sum()]
    spread = 1 + abs(offset) / 3
    for want, got, scale in zip(wanted, actual, largest, strict=True):
        if want is not None:
            assert np.abs(want.numpy() - got).max() <= TOLERANCE * scale * spread


ACTIVATIONS = {
    "threshold_backward": (activation.threshold_backward, (0,)),
    "threshold_backward above 1": (activation.threshold_backward, (1.0,)),
    "hardtanh_backward": (activation.hardtanh_backward, (0.0, 6.0)),
    "leaky_relu_backward": (activation.leaky_relu_backward, (0.01, False)),
    "hardswish_backward": (activation.hardswish_backward, ()),
    "hardsigmoid_backward": (activation.hardsigmoid_backward, ()),
    "silu_backward": (activation.silu_backward, ()),
}
CORNERS = np.array([0.0, -0.0, 3.0, -3.0, 6.0, 1.0, 1e-37, -1e-37, 1e-20, 3.4e38, -3.4e38, 5.9999995, 1e-7], np.float32)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_gradients_agree_to_the_corner(name: str) -> None:
    form, options = ACTIVATIONS[name]
    x = np.concatenate([CORNERS, uniform(1, 4000) * 4]).reshape(-1, 1)
    grad = uniform(2, *x.shape)
    expected = getattr(aten, name.split(maxsplit=1)[0])(*torches(grad, x), *options)
    close(expected, run(form, [grad, x], *options)[0])


@pytest.mark.parametrize("name", ["threshold_backward", "leaky_relu_backward", "silu_backward"])
def test_a_gradient_that_is_not_finite_stays_visible(name: str) -> None:
    form, options = ACTIVATIONS[name]
    grad = np.array([[np.nan], [np.inf], [1.0]], np.float32)
    result = run(form, [grad, np.ones((3, 1), np.float32)], *options)[0]
    assert np.isfinite(result).ravel().tolist() == [False, False, True]


@pytest.mark.parametrize("bounds", [(0.0, 6.0), (-1.0, 2.0)])
def test_a_clip_s_gradient_reads_the_result_so_that_the_input_need_not_be_kept(bounds: tuple[float, float]) -> None:
    x = np.concatenate([CORNERS, [np.nan, np.inf, -np.inf, *bounds], uniform(1, 400) * 4]).astype(np.float32)[:, None]
    grad = uniform(2, *x.shape)

    def both(grad: Any, x: Any) -> tuple[Any, Any]:
        result = activation.hardtanh(x, *bounds)
        return result, activation.hardtanh_backward(grad, x, *bounds)

    clipped, got = run(both, [grad, x])
    assert np.array_equal(aten.hardtanh(torch.from_numpy(x), *bounds).numpy(), clipped, equal_nan=True)
    close(aten.hardtanh_backward(*torches(grad, x), *bounds), got)
    graph = onnx.load_from_string(build(both, [grad, x])[0]).graph
    makers = {output: node.op_type for node in graph.node for output in node.output}
    assert [makers[node.input[0]] for node in graph.node if node.op_type in ("Greater", "Less")] == ["Clip", "Clip"]


def test_a_clip_to_other_bounds_is_not_taken_for_it() -> None:
    x, grad = uniform(1, 400, 1) * 4, uniform(2, 400, 1)

    def both(grad: Any, x: Any) -> tuple[Any, Any]:
        return activation.hardtanh(x, 0.0, 1.0), activation.hardtanh_backward(grad, x, 0.0, 6.0)

    close(aten.hardtanh_backward(*torches(grad, x), 0.0, 6.0), run(both, [grad, x])[1])


@pytest.mark.parametrize("name", ["elu", "hardswish", "leaky_relu", "silu"])
def test_activations(name: str) -> None:
    x = np.concatenate([CORNERS[:9], uniform(1, 4000) * 4]).reshape(-1, 1)
    close(getattr(aten, name)(*torches(x)), run(getattr(activation, name), [x])[0])


@pytest.mark.parametrize(("constant_weights", "operator"), [(False, "ConvTranspose"), (True, "Conv")])
def test_constant_weights_leave_convolutions_to_the_runtime_s_direct_kernels(
    constant_weights: bool, operator: str
) -> None:
    form = forms.table(constant_weights=constant_weights)[aten.convolution.default]

    def narrow(x: object, weight: object) -> object:
        _make_static(weight, w)
        return form(x, weight, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1)

    w = uniform(1, 16, 16, 3, 3)
    _, operators = build(narrow, [uniform(0, 2, 16, 32, 32), w])
    assert {"Conv", "ConvTranspose"} & set(operators) == {operator}


def test_every_entry_of_the_table_is_a_function_of_the_operator_s_arguments() -> None:
    for operator, form in forms.table().items():
        needed = [argument for argument in operator._schema.arguments if not argument.kwarg_only]
        accepted = form.__code__.co_argcount
        assert accepted == len(needed), operator
