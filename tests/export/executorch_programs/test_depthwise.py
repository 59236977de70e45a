"""Rows times banded matrices against torch's own depthwise convolution, and when they are chosen."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrela.export.executorch_programs import depthwise
from fedrela.export.executorch_programs.convolution import convolution, convolution_backward

aten = torch.ops.aten


@st.composite
def cases(draw):
    pair = lambda low, high: [draw(st.integers(low, high)) for _ in range(2)]  # noqa: E731
    kernel, stride, padding, dilation, size = pair(1, 4), pair(1, 3), pair(0, 3), pair(1, 3), pair(1, 9)
    transposed = draw(st.booleans())
    extra = [draw(st.integers(0, max(s, d) - 1)) if transposed else 0 for s, d in zip(stride, dilation, strict=True)]
    return draw(st.integers(2, 4)), size, kernel, (stride, padding, dilation, transposed, extra)


@given(cases())
@settings(max_examples=150, deadline=None)
def test_value_and_gradients_equal_torch(case):
    channels, size, kernel, arguments = case
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, channels, *size, dtype=torch.float64, generator=generator)
    weight = torch.randn(channels, 1, *kernel, dtype=torch.float64, generator=generator)
    try:
        expected = aten.convolution(x, weight, None, *arguments, channels)
    except RuntimeError:  # the kernel is larger than the padded input: torch refuses it too
        return
    assert torch.allclose(convolution(x, weight, None, *arguments, channels), expected)
    grad = torch.randn_like(expected)
    mask = [True, True, False]
    ours = convolution_backward(grad, x, weight, None, *arguments, channels, mask)
    theirs = aten.convolution_backward(grad, x, weight, None, *arguments, channels, mask)
    for mine, reference in zip(ours[:2], theirs[:2], strict=True):
        assert mine.shape == reference.shape
        assert torch.allclose(mine, reference)


@pytest.mark.parametrize(
    ("shape", "groups", "width", "chosen"),
    [
        ((8, 1, 3, 3), 8, 32, True),
        ((8, 1, 3, 3), 8, 64, False),  # rows too long
        ((8, 1, 1, 1), 8, 8, False),  # no rows to join
        ((8, 2, 3, 3), 4, 8, False),  # groups of two channels
        ((8, 1, 3, 3), 1, 8, False),
        ((8, 1, 3), 8, 8, False),
    ],
)
def test_chosen_for_depthwise_kernels_over_narrow_maps(shape, groups, width, chosen):
    assert depthwise.suits(torch.empty(shape), groups, width) is chosen
