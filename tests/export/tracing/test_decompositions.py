"""Backward operators taken apart: the same gradients as torch's own operators, over shapes, strides and paddings."""

import pytest
import torch
import torch.nn.functional as F

from fedrela.export.tracing.decompositions import avg_pool2d_backward, convolution_backward, empty_permuted, table

aten = torch.ops.aten


def normal(*shape):
    """Double precision, so that only a wrong formula can differ by more than rounding."""
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


CONVOLUTIONS = {  # x, weight, stride, padding, dilation, transposed, output padding, groups
    "plain": ((2, 3, 6, 5), (4, 3, 3, 3), [1, 1], [0, 0], [1, 1], False, [0, 0], 1),
    "stride that leaves a rest": ((2, 3, 8, 7), (4, 3, 3, 2), [3, 2], [1, 0], [1, 1], False, [0, 0], 1),
    "1x1 with stride": ((2, 3, 6, 5), (4, 3, 1, 1), [2, 2], [0, 0], [1, 1], False, [0, 0], 1),
    "kernel that reaches past both pads": ((1, 2, 3, 3), (2, 2, 5, 5), [2, 2], [2, 2], [1, 1], False, [0, 0], 1),
    "dilation": ((2, 2, 9, 8), (3, 2, 3, 2), [2, 1], [2, 1], [2, 3], False, [0, 0], 1),
    "groups": ((2, 4, 6, 6), (6, 2, 3, 3), [2, 2], [1, 1], [1, 1], False, [0, 0], 2),
    "depthwise": ((3, 4, 5, 7), (8, 1, 3, 3), [1, 2], [1, 1], [1, 1], False, [0, 0], 4),
    "one axis": ((2, 3, 11), (4, 3, 4), [3], [2], [1], False, [0], 1),
    "three axes": ((1, 2, 4, 5, 3), (3, 2, 2, 3, 1), [1, 2, 1], [0, 1, 0], [1, 1, 1], False, [0, 0, 0], 1),
    "transposed": ((2, 3, 4, 5), (3, 4, 3, 3), [2, 2], [1, 1], [1, 1], True, [0, 0], 1),
    "transposed, output padding": ((2, 3, 4, 5), (3, 4, 3, 2), [2, 3], [1, 0], [1, 1], True, [1, 2], 1),
    "transposed, groups, dilation": ((2, 4, 4, 3), (4, 3, 3, 2), [2, 1], [0, 1], [2, 2], True, [0, 0], 2),
}


def convolution_case(name):
    x_shape, weight_shape, *geometry = CONVOLUTIONS[name]
    x, weight = normal(*x_shape), normal(*weight_shape)
    y = aten.convolution(x, weight, None, *geometry)
    return normal(*y.shape), x, weight, [y.shape[1]], *geometry


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution_backward_is_that_of_torch(name):
    arguments = (*convolution_case(name), [True, True, True])
    for actual, expected in zip(convolution_backward(*arguments), aten.convolution_backward(*arguments), strict=True):
        torch.testing.assert_close(actual, expected)


def test_convolution_backward_worked_by_hand():
    x = torch.tensor([[[1.0, 2.0, 3.0, 4.0]]])
    weight = torch.tensor([[[10.0, 1.0]]])
    grad = torch.tensor([[[1.0, 100.0]]])  # windows (1, 2) and (3, 4): stride 2
    grads = convolution_backward(grad, x, weight, [1], [2], [0], [1], False, [0], 1, [True, True, True])
    assert [g.tolist() for g in grads] == [[[[10.0, 1.0, 1000.0, 100.0]]], [[[301.0, 402.0]]], [101.0]]


@pytest.mark.parametrize("wanted", range(3))
def test_convolution_backward_gives_only_what_the_mask_asks_for(wanted):
    case = convolution_case("groups")
    grads = convolution_backward(*case, [index == wanted for index in range(3)])
    assert [g is not None for g in grads] == [index == wanted for index in range(3)]
    torch.testing.assert_close(grads[wanted], convolution_backward(*case, [True] * 3)[wanted])


POOLS = {  # x, kernel, stride, padding, ceil mode, padding counts, divisor
    "plain": ((2, 3, 6, 4), [2, 2], [2, 2], [0, 0], False, True, None),
    "no stride means the kernel": ((2, 3, 6, 6), [3, 2], [], [0, 0], False, True, None),
    "one number for both axes": ((2, 3, 6, 6), [2], [2], [1], False, True, None),
    "overlapping": ((2, 3, 6, 7), [3, 3], [1, 2], [0, 0], False, True, None),
    "gaps between windows and a rest": ((2, 3, 9, 8), [2, 2], [4, 3], [0, 0], False, True, None),
    "padding counts": ((2, 3, 6, 7), [3, 3], [2, 2], [1, 1], False, True, None),
    "padding doesn't count": ((2, 3, 6, 7), [3, 3], [2, 2], [1, 1], False, False, None),
    "ceil": ((2, 3, 6, 8), [3, 3], [2, 2], [0, 0], True, True, None),
    "ceil, padding counts": ((2, 3, 6, 7), [3, 3], [2, 3], [1, 1], True, True, None),
    "ceil, padding doesn't count": ((2, 3, 6, 7), [3, 2], [2, 3], [1, 1], True, False, None),
    "divisor": ((2, 3, 6, 7), [3, 3], [2, 2], [1, 0], False, False, 5),
    "ceil, divisor": ((2, 3, 6, 8), [3, 3], [2, 2], [1, 0], True, True, 5),
    "without a batch": ((3, 6, 7), [2, 3], [2, 2], [1, 1], True, False, None),
}


@pytest.mark.parametrize("name", POOLS)
def test_average_pooling_backward_is_that_of_torch(name):
    shape, *settings = POOLS[name]
    x = normal(*shape)
    grad = normal(*aten.avg_pool2d(x, *settings).shape)
    expected = aten.avg_pool2d_backward(grad, x, *settings)
    torch.testing.assert_close(avg_pool2d_backward(grad, x, *settings), expected)


def test_average_pooling_backward_worked_by_hand():
    grad = torch.tensor([[[[6.0, 4.0]]]])  # windows of 2, stride 2, over three places: the last window has one
    x = torch.zeros(1, 1, 1, 3)
    assert avg_pool2d_backward(grad, x, [1, 2], [1, 2], [0, 0], True, True, None).tolist() == [[[[3.0, 3.0, 4.0]]]]


def test_windows_that_cover_the_map_once_conserve_the_gradient():
    grad = normal(2, 3, 2, 3)
    spread = avg_pool2d_backward(grad, normal(2, 3, 4, 9), [2, 3], [2, 3], [0, 0], False, True, None)
    torch.testing.assert_close(spread.sum((2, 3)), grad.sum((2, 3)))


def test_empty_memory_is_zeros_of_the_size_and_type():
    memory = empty_permuted([2, 3], [1, 0], dtype=torch.float64)
    torch.testing.assert_close(memory, torch.zeros(2, 3, dtype=torch.float64))


def test_table_replaces_the_operators_that_autograd_calls():
    x = normal(1, 1, 4, 4).requires_grad_()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        F.avg_pool2d(F.conv2d(x, normal(1, 1, 3, 3)), 2).sum().backward()
    called = {event.name for event in profile.events()}
    replaced = {operator._schema.name for operator in table()}
    assert {"aten::convolution_backward", "aten::avg_pool2d_backward"} <= called & replaced
