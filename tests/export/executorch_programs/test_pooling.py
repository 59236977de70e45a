"""Pooling forms against torch's own, ties included, over the settings that hypothesis finds."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrela.export.executorch_programs import pooling as ours

aten = torch.ops.aten


@st.composite
def windows(draw):
    pair = lambda low, high: [draw(st.integers(low, high)) for _ in range(2)]  # noqa: E731
    kernel = pair(1, 3)
    if draw(st.booleans()):
        return kernel, kernel, [0, 0], [1, 1], draw(st.booleans()), pair(5, 9)
    padding = [draw(st.integers(0, size // 2)) for size in kernel]
    return kernel, pair(1, 3), padding, pair(1, 2), draw(st.booleans()), pair(5, 9)


def tied(size):
    """Small whole numbers, so that most windows have several largest elements."""
    return torch.randint(-2, 3, (2, 3, *size), generator=torch.Generator().manual_seed(0)).float()


@given(windows())
@settings(max_examples=80, deadline=None)
def test_max_pool_and_its_gradient(case):
    kernel, stride, padding, dilation, ceil, size = case
    x = tied(size)
    arguments = (kernel, stride, padding, dilation, ceil)
    largest, index = aten.max_pool2d_with_indices(x, *arguments)
    found = ours.max_pool2d_with_indices(x, *arguments)
    if found is not NotImplemented:
        assert torch.equal(found[0], largest)
        assert torch.equal(found[1], index)
    grad = torch.rand_like(largest)
    expected = aten.max_pool2d_with_indices_backward(grad, x, *arguments, index)
    assert torch.allclose(ours.max_pool2d_with_indices_backward(grad, x, *arguments, index), expected)


@given(windows(), st.booleans(), st.sampled_from([None, 5]))
@settings(max_examples=80, deadline=None)
def test_average_pool_gradient(case, count_include_pad, divisor):
    kernel, stride, padding, _, ceil, size = case
    arguments = (kernel, stride, padding, ceil, count_include_pad, divisor)
    x = tied(size)
    grad = torch.rand_like(aten.avg_pool2d(x, *arguments))
    expected = aten.avg_pool2d_backward(grad, x, *arguments)
    assert torch.allclose(ours.avg_pool2d_backward(grad, x, *arguments), expected, atol=1e-6)


@given(st.tuples(st.integers(1, 9), st.integers(1, 9)), st.tuples(st.integers(1, 8), st.integers(1, 8)))
@settings(max_examples=60, deadline=None)
def test_adaptive_pools(size, bins):
    x = tied(size)
    grad = torch.rand_like(aten._adaptive_avg_pool2d(x, bins))
    expected = aten._adaptive_avg_pool2d_backward(grad, x)
    assert torch.allclose(ours.adaptive_avg_pool2d_backward(grad, x), expected, atol=1e-6)
    largest, index = aten.adaptive_max_pool2d(x, bins)
    found, places = ours.adaptive_max_pool2d(x, bins)
    assert torch.equal(found, largest)
    assert torch.equal(places, index)
    assert torch.allclose(ours.scatter_planes(grad, x, places), aten.adaptive_max_pool2d_backward(grad, x, index))


def test_subnormal_differences_are_differences():
    x = torch.tensor([[[[0.0, 1e-45], [0.0, 0.0]]]])
    grad = torch.ones(1, 1, 1, 1)
    found = ours.max_pool2d_with_indices_backward(grad, x, [2, 2], [2, 2], [0, 0], [1, 1], False, torch.zeros(1))
    assert found.flatten().tolist() == [0.0, 1.0, 0.0, 0.0]
