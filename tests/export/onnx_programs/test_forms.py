"""ONNX forms of activations and of group normalization against eager PyTorch: corners, NaN, infinity."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fedrela.export.onnx_programs import forms
from fedrela.export.onnx_programs.forms import activation, copying, group_norm
from tests.export.onnx_programs.form_runs import TOLERANCE, build, close, run, torches, uniform

aten = torch.ops.aten
few = settings(max_examples=25, deadline=None, derandomize=True)


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


ACTIVATIONS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
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


def test_every_entry_of_the_table_is_a_function_of_the_operator_s_arguments() -> None:
    for operator, form in forms.table().items():
        needed = [argument for argument in operator._schema.arguments if not argument.kwarg_only]
        accepted = form.__code__.co_argcount
        assert accepted == len(needed), operator


@pytest.mark.parametrize("shape", [(2, 3), (1, 3), (3,), ()])
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_a_copy_is_repeated_and_converted_as_torch_does(shape, dtype):
    x, source = uniform(1, 2, 3), np.asarray(10 * uniform(2, *shape), dtype)
    expected = aten.copy(*torches(x, source))
    (found,) = run(lambda x, _, source: copying.copy(x, source), [x, None, source])  # the third one's sizes are known
    assert found.dtype == np.float32
    assert np.array_equal(np.asarray(expected), found)
