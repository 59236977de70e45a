"""Lowering for ExecuTorch: the forms, one node per value, the kernel check, and bytes that don't depend on weights."""

import pytest
import torch

from fedrela.core.errors import UnsupportedOperation
from fedrela.export.executorch_programs import forms
from fedrela.export.executorch_programs.program import lower
from fedrela.export.tracing.trace import trace

aten = torch.ops.aten


@pytest.mark.parametrize("amounts", [[-1, 1], [1, -2, -1, 0], [-1, -1, -1, -1]])
def test_negative_padding_cuts(amounts):
    x = torch.arange(40.0).reshape(2, 4, 5)
    assert torch.equal(forms.constant_pad_nd(x, amounts, 7.0), aten.constant_pad_nd(x, amounts, 7.0))


def test_relu_gradient_is_exact_for_any_y_that_relu_gives():
    y = torch.tensor([0.0, 1e-45, 1e-38, 1.0, 3e38, float("inf")])
    grad = torch.tensor([2.0, -3.0, 4.0, -5.0, 6.0, 7.0])
    assert torch.equal(forms.threshold_backward(grad, y, 0), aten.threshold_backward(grad, y, 0))


def test_relu6_gradient_is_exact_up_to_its_bounds():
    below = torch.nextafter(torch.tensor(6.0), torch.tensor(0.0)).item()
    x = torch.tensor([-1.0, 0.0, 1e-45, 1e-38, 3.0, below, 6.0, 7.0, 3e38, float("inf"), -float("inf")])
    grad = torch.arange(1.0, 12.0)
    assert torch.equal(forms.hardtanh_backward(grad, x, 0.0, 6.0), aten.hardtanh_backward(grad, x, 0.0, 6.0))


@pytest.mark.parametrize("bounds", [(-1.0, 1.0), (0.0, 0.5), (0.0, float("inf")), (-1e30, 1e30)])
def test_gradient_of_any_bounds(bounds):
    x = torch.tensor([-2e30, -1e30, -2.0, -1.0, 0.0, 1e-45, 0.5, 0.75, 1.0, 2.0, 1e30])
    grad = torch.ones_like(x)
    assert torch.equal(forms.hardtanh_backward(grad, x, *bounds), aten.hardtanh_backward(grad, x, *bounds))


@pytest.mark.parametrize("operator", [aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor])
@pytest.mark.parametrize(
    ("shape", "other", "fast"),
    [
        ((2, 3, 4, 4), (1, 3, 1, 1), True),
        ((2, 3, 4, 4), (2, 3, 1, 1), True),
        ((2, 3, 4, 4), (3, 1, 1), True),
        ((2, 3, 8), (2, 1, 1), True),
        ((2, 5), (2, 1), False),  # is a matrix and a column
        ((2, 5), (5,), False),
        ((2, 5), (), False),
        ((2, 3, 2), (2, 3, 1), False),  # few numbers share one
        ((2, 1, 4, 4), (1, 3, 1, 1), False),  # both are repeated
        ((2, 3, 1, 1), (2, 3, 1, 1), False),
    ],
)
def test_numbers_for_whole_maps_become_a_column(operator, shape, other, fast):
    whole, small = torch.rand(shape), torch.rand(other)
    for operands in [(whole, small), (small, whole)]:
        found = forms.broadcast(operator, *operands)
        assert (found is not NotImplemented) is fast
        assert not fast or torch.equal(found, operator(*operands))


def test_broadcasting_leaves_other_dtypes_and_numbers_whole():
    integers = torch.ones(2, 3, 4, 4, dtype=torch.int64)
    assert forms.broadcast(aten.add.Tensor, integers, integers[:, :, :1, :1]) is NotImplemented
    assert forms.broadcast(aten.mul.Tensor, torch.ones(2, 3, 4, 4), 2.0) is NotImplemented
    assert forms.broadcast(aten.mul.Tensor, 2.0, torch.ones(2, 3, 4, 4)) is NotImplemented


def test_the_bytes_come_from_the_graph_alone_and_run_for_any_batch_up_to_the_bound():
    from executorch.runtime import Runtime

    def step(w, x):
        (gradient,) = torch.autograd.grad(torch.relu(x @ w).square().mean(), w)
        return (w - 0.1 * gradient,)

    def program(seed):
        examples = torch.randn(3, 2, generator=torch.Generator().manual_seed(seed)).requires_grad_(), torch.ones(4, 3)
        return lower(trace(step, examples, ((3, 2), ("B", 3)), table=forms.table()), max_batch=8)

    body = program(0)
    assert program(1) == body
    method = Runtime.get().load_program(body).load_method("forward")
    for batch in (1, 3, 8):
        w, x = torch.rand(3, 2), torch.rand(batch, 3)
        (expected,) = step(w.clone().requires_grad_(), x)
        assert torch.allclose(method.execute([w, x])[0], expected, atol=1e-6)


def test_an_operator_without_a_kernel_is_named_before_anything_is_written():
    def function(x):
        return (torch.linalg.qr(x)[0],)

    with pytest.raises(UnsupportedOperation, match=r"no kernel for aten\.linalg_qr"):
        lower(trace(function, (torch.rand(3, 2),), ((3, 2),)), max_batch=3)


def test_operators_without_a_form_of_ours_are_taken_apart():
    from executorch.runtime import Runtime

    def lengths(x):
        return (torch.linalg.vector_norm(x, dim=1),)

    body = lower(trace(lengths, (torch.ones(4, 3),), (("B", 3),), table=forms.table()), max_batch=4)
    x = torch.rand(2, 3)
    assert torch.allclose(Runtime.get().load_program(body).load_method("forward").execute([x])[0], lengths(x)[0])


@pytest.mark.parametrize(("dim", "index"), [(1, -1), (1, 0), (2, 3), (-1, -2)])
def test_the_gradient_of_one_element_of_a_dimension_is_written_there(dim, index):
    from executorch.runtime import Runtime

    def gradient(x, weight):
        x = x.detach().requires_grad_()
        return torch.autograd.grad((x.select(dim, index) * weight).sum(), x)

    shapes = (("B", 5, 6), ("B", 5 if dim in (2, -1) else 6))
    examples = [torch.rand([7 if size == "B" else size for size in shape]) for shape in shapes]
    body = lower(trace(gradient, examples, shapes, table=forms.table()), max_batch=8)
    method = Runtime.get().load_program(body).load_method("forward")
    for batch in (3, 8, 1):
        given = [torch.rand([batch if size == "B" else size for size in shape]) for shape in shapes]
        assert torch.equal(method.execute(given)[0], gradient(*given)[0])
