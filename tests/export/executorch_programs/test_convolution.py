"""Strided-copy convolution against torch's own, over every combination of its settings that hypothesis finds."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrela.export.executorch_programs.convolution import convolution, convolution_backward

aten = torch.ops.aten


@st.composite
def cases(draw):
    rank = draw(st.integers(1, 3))
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    per_axis = lambda low, high: [draw(st.integers(low, high)) for _ in range(rank)]  # noqa: E731
    for_each = lambda low, high: per_axis(low, high)[: draw(st.sampled_from([1, rank]))]  # noqa: E731
    kernel, stride, dilation, padding = per_axis(1, 3), for_each(1, 3), for_each(1, 3), for_each(0, 3)
    transposed = draw(st.booleans())
    most = max(1, min(stride + dilation)) - 1
    output_padding = [draw(st.integers(0, most)) if transposed else 0 for _ in range(rank)]
    channels = (groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2)))
    return kernel, stride, padding, dilation, transposed, output_padding, groups, channels, per_axis(1, 7)


@given(cases())
@settings(max_examples=150, deadline=None)
def test_value_and_gradients_equal_torch(case):
    kernel, stride, padding, dilation, transposed, output_padding, groups, (c_in, c_out), size = case
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, c_in, *size, dtype=torch.float64, generator=generator)
    shape = (c_in, c_out // groups) if transposed else (c_out, c_in // groups)
    weight = torch.randn(*shape, *kernel, dtype=torch.float64, generator=generator)
    bias = torch.randn(c_out, dtype=torch.float64, generator=generator)
    arguments = (stride, padding, dilation, transposed, output_padding, groups)
    try:
        expected = aten.convolution(x, weight, bias, *arguments)
    except RuntimeError:  # the kernel is larger than the padded input: torch refuses it too
        return
    assert torch.allclose(convolution(x, weight, bias, *arguments), expected)
    grad = torch.randn_like(expected)
    ours = convolution_backward(grad, x, weight, [c_out], *arguments, [True] * 3)
    theirs = aten.convolution_backward(grad, x, weight, [c_out], *arguments, [True] * 3)
    for mine, reference in zip(ours, theirs, strict=True):
        assert mine.shape == reference.shape
        assert torch.allclose(mine, reference)


@pytest.mark.parametrize("index", range(3))
def test_only_what_is_asked_for_is_computed(index):
    mask = [i == index for i in range(3)]
    x, weight, grad = torch.randn(2, 3, 5, 5), torch.randn(4, 3, 3, 3), torch.randn(2, 4, 3, 3)
    gradients = convolution_backward(grad, x, weight, [4], [1, 1], [0, 0], [1, 1], False, [0, 0], 1, mask)
    assert [gradient is not None for gradient in gradients] == mask
