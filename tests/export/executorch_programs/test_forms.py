"""Forms are the same as torch's operators, to the last edge case, and left alone where they don't fit."""

from itertools import combinations

import pytest
import torch

from fedrela.export.executorch_programs import forms

DIMS = [list(dims) for count in (1, 2, 3, 4) for dims in combinations(range(4), count)]


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("dims", DIMS)
def test_sums_and_means_are_torch_s(dims: list[int], keep: bool) -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 4, 5, 7)
    trailing = 3 in dims
    for form, expected in ((forms.total, x.sum(dims, keepdim=keep)), (forms.mean, x.mean(dims, keepdim=keep))):
        found = form(x, [dims[0] - 4, *dims[1:]], keep)
        if found is NotImplemented:
            assert not trailing or form is forms.mean
            continue
        assert trailing
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_what_is_not_finite_stays_in_its_row() -> None:
    x = torch.tensor([[1.0, 2.0], [float("nan"), 0.0], [float("inf"), 1.0], [float("inf"), float("-inf")]])
    torch.testing.assert_close(forms.total(x, [1]), x.sum(1), equal_nan=True)
    torch.testing.assert_close(forms.mean(x, [-1], True), x.mean(1, keepdim=True), equal_nan=True)


@pytest.mark.parametrize("length", [511, 512, 784, 1021, 4096])
def test_long_rows_are_added_up_in_parts(length):
    torch.manual_seed(0)
    x = torch.rand(3, 5, length)
    torch.testing.assert_close(forms.total(x, [0, 2]), x.sum((0, 2)))


def test_other_dtypes_and_empty_rows_stay_whole() -> None:
    assert forms.total(torch.ones(2, 3, dtype=torch.int64), [1]) is NotImplemented
    assert forms.total(torch.ones(2, 3), [1], dtype=torch.float64) is NotImplemented
    assert forms.total(torch.ones(2, 0), [1]) is NotImplemented
    assert forms.total(torch.ones(2, 3), []) is NotImplemented


EDGES = torch.tensor([float("inf"), -float("inf"), 0.0, -0.0, 6.0, 3.0, -1.0, 1e-45, -1e-45, 5.9999995, 6.0000005])


@pytest.mark.parametrize("bounds", [(0.0, 6.0), (-1.0, 1.0), (0.0, 0.0)])
def test_the_gradients_of_clipping_are_torch_s_at_every_edge(bounds: tuple[float, float]) -> None:
    grad = torch.arange(1.0, 1 + len(EDGES))
    expected = torch.ops.aten.hardtanh_backward.default(grad, EDGES, *bounds)
    torch.testing.assert_close(forms.hardtanh_backward(grad, EDGES, *bounds), expected, rtol=0, atol=0)
    expected = torch.ops.aten.threshold_backward.default(grad, EDGES, 0)
    torch.testing.assert_close(forms.threshold_backward(grad, EDGES, 0), expected, rtol=0, atol=0)


def test_a_clamp_with_two_bounds_is_torch_s_and_any_other_stays_whole() -> None:
    x = torch.cat([EDGES, torch.tensor([float("nan")])])
    torch.testing.assert_close(forms.clamp(x, -1, 3), torch.clamp(x, -1, 3), rtol=0, atol=0, equal_nan=True)
    assert forms.clamp(x, low=0.0) is NotImplemented
    assert forms.clamp(x, high=0.0) is NotImplemented
    assert forms.clamp(x, 1.0, 0.0) is NotImplemented
    assert forms.clamp(torch.tensor([1]), 0, 1) is NotImplemented
    assert forms.positive(torch.tensor([float("nan")])).isnan().all()


@pytest.mark.parametrize("dims", [[0], [1], [-2], [2], [0, 1], [-1]])
def test_turned_rows_are_torch_s(dims: list[int]) -> None:
    x = torch.arange(60.0).reshape(3, 4, 5)
    found = forms.flip(x, dims)
    whole = len(dims) > 1 or dims[0] in (2, -1)
    assert (found is NotImplemented) is whole
    assert whole or torch.equal(found, x.flip(dims))
