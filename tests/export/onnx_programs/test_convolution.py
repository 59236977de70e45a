"""The ONNX forms of convolutions against eager PyTorch: drawn strides, dilation, groups, odd sizes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fedrela.export.onnx_programs import forms
from fedrela.export.onnx_programs.forms import convolution
from tests.export.onnx_programs.form_runs import build, close, run, torches, uniform

aten = torch.ops.aten
few = settings(max_examples=25, deadline=None, derandomize=True)


@st.composite
def convolutions(draw: st.DrawFn, rank: int) -> dict:
    """Sizes and settings of a convolution that PyTorch accepts."""
    groups = draw(st.sampled_from([1, 1, 2, 4]))
    axes = range(rank)
    kernel = [draw(st.integers(1, 3)) for _ in axes]
    dilation = [draw(st.integers(1, 2)) for _ in axes]
    case: dict[str, Any] = {
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


def run_backward(grad: np.ndarray, x: np.ndarray, weight: np.ndarray, bias_sizes: list[int], *how: Any) -> list:
    def form(grad: object, x: object, weight: object) -> object:
        return convolution.convolution_backward(grad, x, weight, bias_sizes, *(*how, [True] * 3))

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
