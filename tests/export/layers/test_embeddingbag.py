"""Bags of embeddings: torch's own values and gradients, padding left out, and the bags that are refused."""

from itertools import product

import pytest
import torch
import torch.nn.functional as F

from fedrela.core.errors import UnsupportedOperation
from fedrela.export.layers.embeddingbag import embedding_bag

BAGS = torch.tensor([[1, 2, 2], [0, 3, 0], [0, 0, 0]])  # some padding, nothing else


@pytest.mark.parametrize(("mode", "padding"), list(product(("mean", "sum", "max"), (None, 0, -5))))
def test_values_and_gradients_are_those_of_torch(mode, padding):
    torch.manual_seed(0)
    weight = torch.randn(5, 4, requires_grad=True)
    found = embedding_bag(BAGS, weight, mode=mode, padding_idx=padding)
    expected = F.embedding_bag(BAGS, weight, mode=mode, padding_idx=padding)
    torch.testing.assert_close(found, expected)
    if mode == "max" and padding != None:  # noqa: E711
        return
    ours, theirs = (torch.autograd.grad(value.square().sum(), weight)[0] for value in (found, expected))
    torch.testing.assert_close(ours, theirs)


def test_bags_of_several_lengths_are_refused():
    with pytest.raises(UnsupportedOperation, match="embedding_bag with offsets"):
        embedding_bag(torch.tensor([1, 2, 3]), torch.ones(5, 4), torch.tensor([0, 2]))
