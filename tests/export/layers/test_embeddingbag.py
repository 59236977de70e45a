"""Bags of embeddings: torch's own values and gradients, padding left out, and the bags that are refused."""

from itertools import product

import pytest
import torch
import torch.nn.functional as F

from fedrela.core.errors import UnsupportedOperation
from fedrela.export.layers.embeddingbag import embedding_bag
from fedrela.export.layers.rewriting import Rewriting

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


BY_FREQUENCY = {
    "embedding": lambda weight: F.embedding(BAGS, weight, scale_grad_by_freq=True),
    "embedding, as torch's operator": lambda weight: torch.embedding(weight, BAGS, -1, True),
    "embedding_bag": lambda weight: F.embedding_bag(BAGS, weight, scale_grad_by_freq=True),
}


@pytest.mark.parametrize("name", BY_FREQUENCY)
def test_gradients_divided_by_how_often_a_row_was_looked_up_are_refused(name):
    operator = name.partition(",")[0]
    with (
        Rewriting(None, torch.rand),
        pytest.raises(UnsupportedOperation, match=f"^{operator} with scale_grad_by_freq; leave"),
    ):
        BY_FREQUENCY[name](torch.ones(5, 4))


def test_an_embedding_is_otherwise_torch_s_own():
    weight = torch.randn(5, 4)
    with Rewriting(None, torch.rand):
        found = F.embedding(BAGS, weight, padding_idx=0), torch.embedding(weight, BAGS)
    assert all(torch.equal(value, F.embedding(BAGS, weight)) for value in found)
