"""What is made of constants alone: worked out once where its size lies in their values, and left alone elsewhere."""

import pytest
import torch
from torch import nn

from fedrela.export.inputs import parse
from fedrela.export.onnx_programs.translation import table as onnx_table
from fedrela.export.recipe import Recipe
from fedrela.export.tracing.trace import trace
from fedrela.export.verification.comparison import training_errors

EDGES = torch.tensor([[0, 1, 1, 2, 0], [1, 1, 2, 0, 0]])  # two of the five go from a sensor to itself
MASK = torch.tensor([[True, False, True], [False, False, True]])


def of_edges(x):
    """As graph convolutions begin: without self-loops, then one for each sensor."""
    edges = torch.cat([EDGES[:, EDGES[0] != EDGES[1]], torch.arange(3).repeat(2, 1)], 1)
    weights = torch.ones(edges.shape[1])
    degree = torch.zeros(3).scatter_add_(0, edges[1], weights)
    return (x[:, edges[0]] * weights / degree[edges[1]],)


def by_a_mask(x):
    return (x[:, MASK[0]] * 2.0,)


def by_a_mask_of_two_axes(x):
    return (x.reshape(-1, 1, 3).expand(-1, 2, 3)[:, MASK],)


def by_a_mask_that_is_made(x):
    return (x[:, MASK.any(0) & ~MASK[1]],)


def by_positions(x):
    return (x[:, MASK[0].nonzero()[:, 0]] + MASK.nonzero().sum(),)


def a_number_of_them(x):
    return (x * MASK.sum().item(),)


def once_each(x):
    return (x[:, EDGES.unique()],)


FUNCTIONS = [
    of_edges, by_a_mask, by_a_mask_of_two_axes, by_a_mask_that_is_made, by_positions, a_number_of_them, once_each,
]  # fmt: skip


def questions(program):
    """Sizes that lie in values."""
    sizes = [size for node in program.graph.nodes for size in getattr(node.meta.get("val"), "shape", ())]
    return [size for size in sizes if str(size).startswith("u")]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_what_constants_decide_is_no_question(function):
    program = trace(function, (torch.ones(4, 3),), (("B", 3),))
    assert not questions(program)
    x = torch.arange(21.0).reshape(7, 3)
    for ours, theirs in zip(program.module()(x), function(x), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_what_inputs_decide_stays_a_question():
    def positive(x):
        return (x[x > 0].sum() + x[:, MASK[0]].sum(),)

    program = trace(positive, (torch.ones(4, 3),), (("B", 3),))
    assert questions(program)
    x = torch.arange(21.0).reshape(7, 3) - 9
    torch.testing.assert_close(program.module()(x)[0], positive(x)[0])


class Sensors(nn.Module):
    """A graph convolution over three sensors, and a mask of those that are read."""

    def __init__(self):
        super().__init__()
        self.linear, self.head = nn.Linear(1, 4), nn.Linear(4, 3)
        self.register_buffer("read", torch.tensor([True, True, False]))

    def forward(self, x):
        """x (B, 3)."""
        (messages,) = of_edges(x)
        return self.head(torch.tanh(self.linear(messages[..., None])).mean(1)) + x[:, self.read].sum(1, keepdim=True)


@pytest.mark.parametrize("runtime", ["onnx", "executorch"])
def test_a_net_over_a_graph_that_stays_is_trained_as_eager_pytorch_does(runtime):
    errors = training_errors(Sensors(), Recipe((parse("float32:3"),), classes=3), runtime)
    assert max(errors.values()) <= 1e-4


def ends_at_a_constant(x):
    """As libraries write the length that a signal has at another rate, or a window's reach."""
    reach = torch.tensor(x.shape[1] // 2)
    length = torch.ceil(torch.as_tensor(x.shape[1] * 0.7)).long()
    return (x[:, 2 - reach : 2 + reach].sum(1, keepdim=True) + x[..., :length],)


@pytest.mark.parametrize("table", [None, onnx_table()], ids=["torch's operators", "ONNX's"])
def test_a_slice_that_ends_at_a_constant_tensor_has_a_size(table):
    program = trace(ends_at_a_constant, (torch.ones(4, 3),), (("B", 3),), table=table)
    x = torch.arange(15.0).reshape(5, 3)
    assert torch.equal(program.module()(x)[0], x[:, 1:].sum(1, keepdim=True) + x)
