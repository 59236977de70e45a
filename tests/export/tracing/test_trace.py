"""Traced graphs against the Python function they came from, at batches other than the example's."""

import warnings

import pytest
import torch
import torch.nn.functional as F

from fedrela.core.errors import UnsupportedOperation
from fedrela.export.tracing.trace import decompositions, quiet, trace

POOL_BACKWARD = torch.ops.aten.max_pool2d_with_indices_backward.default


def step(w, x):
    """One step of gradient descent on mean((x w)^2)."""
    (gradient,) = torch.autograd.grad((x @ w).square().mean(), w)
    return w - 0.5 * gradient, x * 2


def pooled(x):
    """The gradient of the sum of squares of 2x2 maxima."""
    with torch.enable_grad():
        return torch.autograd.grad(F.max_pool2d(x, 2).square().sum(), x)


def traced_step(**options):
    """`step` traced with an example batch of 4."""
    return trace(step, (torch.ones(3, 2, requires_grad=True), torch.ones(4, 3)), ((3, 2), ("B", 3)), **options)


def targets(program):
    """The operators of a graph."""
    return [node.target for node in program.graph.nodes if node.op == "call_function"]


def test_a_step_worked_by_hand():
    """x = [1, 2], w = [1, 1]: the output is 3, the gradient 2 * 3 * x = [6, 12], and half of it is taken off."""
    w, x = torch.ones(2, 1, requires_grad=True), torch.ones(4, 2)
    program = trace(step, (w, x), ((2, 1), ("B", 2)))
    new, doubled = program.module()(torch.ones(2, 1), torch.tensor([[1.0, 2.0]]))
    assert new.tolist() == [[-2.0], [-5.0]]
    assert doubled.tolist() == [[2.0, 4.0]]


@pytest.mark.parametrize("batch", [1, 2, 3, 9])
def test_any_batch_gives_what_the_function_gives(batch):
    generator = torch.Generator().manual_seed(batch)
    w = torch.randn(3, 2, generator=generator, requires_grad=True)
    x = torch.randn(batch, 3, generator=generator)
    ours = traced_step().module()(w.detach(), x)
    for one, other in zip(ours, step(w, x), strict=True):
        torch.testing.assert_close(one, other.detach())


def test_the_graph_is_pure():
    signature = traced_step().graph_signature
    assert (len(signature.user_inputs), len(signature.user_outputs)) == (2, 2)
    assert not signature.parameters
    assert not signature.buffers
    assert not signature.buffers_to_mutate
    assert not signature.user_inputs_to_mutate


def test_a_draw_in_a_backward_pass_is_refused():
    class Noisy(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1.0

        @staticmethod
        def backward(ctx, grad):
            return grad + torch.randn_like(grad)

    def noisy(w, x):
        return torch.autograd.grad(Noisy.apply(x @ w).sum(), w)

    with pytest.raises(UnsupportedOperation, match=r"aten\.randn\S* draws random numbers"):
        trace(noisy, (torch.ones(3, 2, requires_grad=True), torch.ones(4, 3)), ((3, 2), ("B", 3)))


def test_two_open_dimensions_move_apart():
    program = trace(lambda x, y: (x.sum() * y,), (torch.ones(4, 2), torch.ones(5)), (("B", 2), ("N",)))
    assert program.module()(torch.ones(7, 2), torch.ones(3))[0].tolist() == [14.0] * 3


def test_a_batch_beyond_the_bound_and_another_width_are_refused():
    module = traced_step(max_batch=8).module()
    assert module(torch.ones(3, 2), torch.ones(8, 3))[1].shape == (8, 3)
    for wrong in (torch.ones(9, 3), torch.ones(4, 5)):
        with pytest.raises((RuntimeError, AssertionError)):
            module(torch.ones(3, 2), wrong)


def test_every_input_needs_a_shape():
    with pytest.raises(ValueError, match="zip"):
        trace(step, (torch.ones(3, 2), torch.ones(4, 3)), ((3, 2),))


def test_an_operator_to_keep_stays_whole_and_otherwise_is_taken_apart():
    x = torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    shapes = (("B", 1, 4, 4),)
    whole = trace(pooled, (x,), shapes, table=decompositions(frozenset({POOL_BACKWARD})))
    apart = trace(pooled, (x,), shapes)
    assert POOL_BACKWARD in targets(whole)
    assert POOL_BACKWARD not in targets(apart)
    for program in (whole, apart):
        torch.testing.assert_close(program.module()(x.detach())[0], pooled(x)[0])


def test_what_is_kept_is_all_that_leaves_the_table():
    assert set(decompositions()) - set(decompositions(frozenset({POOL_BACKWARD}))) == {POOL_BACKWARD}


def test_quiet_ends_with_its_block():
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with quiet():
            warnings.warn("inside", stacklevel=1)
        warnings.warn("outside", stacklevel=1)
    assert [str(one.message) for one in heard] == ["outside"]
