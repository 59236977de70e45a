"""Heads of fixed geometry."""

import pytest
import torch
from torch import nn

from fedrela.core.errors import InvalidInput
from fedrela.export import heads


def test_frame_is_equiangular_and_reproducible():
    frame = heads.simplex_frame(20, 7, seed=3)
    cosines = frame @ frame.T
    assert torch.allclose(cosines, torch.full((7, 7), -1 / 6) + torch.eye(7) * (7 / 6), atol=1e-5)
    assert torch.equal(frame, heads.simplex_frame(20, 7, seed=3))


def test_wrapping_replaces_the_last_linear_layer_of_any_model_and_leaves_the_model_alone():
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    wrapped = heads.with_fixed_etf(model)
    assert isinstance(model[2], nn.Linear)
    assert isinstance(wrapped[2], heads.FixedETF)
    assert wrapped(torch.randn(5, 4)).shape == (5, 3)


def test_sparse_frame_has_the_asked_share_of_zeros_in_unit_rows():
    head = heads.SparseETF(20, 4, sparsity=0.6, seed=0)
    assert (head.frame == 0).sum(1).tolist() == [12] * 4
    assert torch.allclose(head.frame.norm(dim=1), torch.ones(4))
    assert not list(head.parameters()), "nothing in it is trained"


def test_too_few_features_are_refused():
    with pytest.raises(InvalidInput, match="wide"):
        heads.with_fixed_etf(nn.Linear(3, 10))
    with pytest.raises(InvalidInput, match="no linear layer"):
        heads.with_sparse_etf(nn.Sequential(nn.Conv2d(1, 1, 1)))
