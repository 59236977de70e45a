"""What a model changes in place: a graph without it gives the same, whether or not others look at the tensor."""

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from fedrela.core.errors import UnsupportedOperation
from fedrela.export.executorch_programs import forms
from fedrela.export.onnx_programs import translation
from fedrela.export.tracing import mutations
from fedrela.export.tracing.trace import trace


def relu_in_place(x):
    return (torch.relu_(x * 2.0) + 1.0,)


def power_in_place(x):
    return ((x * x + 1.0).pow_(-0.5),)


def statistics(x):
    mean = torch.zeros(3)
    mean.mul_(0.9).add_(0.1 * x.mean(0))
    return x - mean, mean


def of_another_type(x):
    return (torch.zeros(3).copy_(x[0].double()),)


def an_input_in_place(x):
    y = x + 1.0
    x += 0.5
    return torch.floor(x) * y, x


def a_shape_of_an_input_in_place(x):
    return (x.reshape(-1, 3, 1).mul_(2.0) + 1.0,)


def a_view_of_an_input_looks_on(x):
    first = x[:, 0]
    x.add_(1.0)
    return first, x


def a_view_is_changed(x):
    y = x.clone()
    y[:, 0] = 5.0
    return (y,)


def a_view_looks_on(x):
    y = x.clone()
    first = y[:, 0]
    y.add_(1.0)
    return first, y


def through_two_views(x):
    y = x.clone()
    y.t()[0].zero_()
    return (y * 2.0,)


def another_shape_in_place(x):
    y = x * 2.0
    y.unsqueeze_(1)
    return (y.squeeze(1) + 1.0,)


COUNT = torch.zeros(())  # as BatchNorm counts its batches


def a_constant_counts_beside_a_view(x):
    COUNT.add_(1.0)
    return a_view_looks_on(x)


SIMPLE = (
    relu_in_place, power_in_place, statistics, of_another_type, an_input_in_place, a_shape_of_an_input_in_place,
)  # fmt: skip
SHARED = (
    a_view_is_changed, a_view_looks_on, through_two_views, another_shape_in_place, a_constant_counts_beside_a_view,
    a_view_of_an_input_looks_on,
)  # fmt: skip


@pytest.mark.parametrize("function", [*SIMPLE, *SHARED])
def test_what_is_changed_in_place_is_computed_instead(function):
    program = trace(function, (torch.ones(4, 3),), (("B", 3),))
    operators = [node.target for node in program.graph.nodes if node.op == "call_function"]
    assert not [one for one in operators if isinstance(one, torch._ops.OpOverload) and one._schema.is_mutable]
    x = torch.randn(7, 3, generator=torch.Generator().manual_seed(0))
    for ours, theirs in zip(program.module()(x), function(x.clone()), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("function", [*SIMPLE, *SHARED])
def test_only_shared_memory_and_other_shapes_take_a_second_trace(function, monkeypatch):
    found = []
    take_out = mutations.take_out
    monkeypatch.setattr(mutations, "take_out", lambda graph: found.append(take_out(graph)) or found[-1])
    trace(function, (torch.ones(4, 3),), (("B", 3),))
    assert found == ([True] if function in SIMPLE else [False, True])


def test_a_model_for_one_batch_size_is_refused():
    with pytest.raises(UnsupportedOperation, match="one batch size only"):
        trace(lambda x: (x.reshape(4, 3) * torch.ones(4, 3),), (torch.ones(4, 3),), (("B", 3),))


def test_a_constant_is_an_input_of_the_programs_own_and_made_once():
    constant = torch.tensor([1.0, 2.0, 3.0])
    program = trace(lambda x: (x * constant, x + constant), (torch.ones(4, 3),), (("B", 3),))
    assert len(program.constants) == 1
    assert program.module()(torch.ones(2, 3))[1].tolist() == [[2.0, 3.0, 4.0]] * 2


def test_a_size_is_asked_for_once():
    program = trace(
        lambda x, y: (x / x.shape[0], y * y.shape[0], x.sum() / y.shape[0]),
        (torch.ones(4, 3), torch.ones(4, 2)),
        (("B", 3), ("B", 2)),
    )
    asked = [node for node in program.graph.nodes if isinstance(node.meta.get("val"), torch.SymInt)]
    assert len(asked) == 1
    assert program.module()(torch.ones(2, 3), torch.ones(2, 2))[1].tolist() == [[2.0, 2.0]] * 2


VIEWS = {
    "permute": lambda x: x.permute(1, 0, 2),
    "transpose": lambda x: x.transpose(1, 2),
    "of two dimensions": lambda x: x.reshape(-1, 4).t(),
    "squeeze": lambda x: x[:, :1].squeeze(1),
    "squeeze several": lambda x: x[:, :1].squeeze((1,)),
    "unsqueeze": lambda x: x.unsqueeze(1),
    "select": lambda x: x[:, 1],
    "narrow": lambda x: x.narrow(2, 1, 2),
    "a view of a copy": lambda x: x.permute(1, 0, 2)[:, :2].unsqueeze(0),
}


def written_view(x, view):
    base = x * 2.0
    view(base).mul_(3.0)
    return base


def written_view_alone(x, view):
    viewed = view(x * 2.0)
    viewed.div_(7.0)
    return viewed * x.sum()


def assigned_view(x, view):
    base = x * 2.0
    viewed = view(base)
    viewed.copy_(viewed.detach().square() + x.sum())
    return base


def assigned_part(x, view):
    base = x * 2.0
    view(base)[..., 0] = x.sum()
    return base


def written_base(x, view):
    base = x * 2.0
    viewed = view(base)
    base.tanh_()
    return viewed * base.sum()


@pytest.mark.parametrize("tell", [written_view, written_view_alone, written_base, assigned_view, assigned_part])
@pytest.mark.parametrize("table", [forms.table, translation.table], ids=["executorch", "onnx"])
@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_what_a_form_copies_is_still_a_view_to_who_writes_in_place(tell, table, view):
    def gradient(x):
        value = tell(x, view)
        weight = torch.arange(value.numel(), dtype=torch.float32).reshape(value.shape)
        return value, *torch.autograd.grad((value * weight).square().sum(), x)

    x = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    traced = trace(gradient, (x,), ((3, 5, 4),), table=table())
    for mine, expected in zip(traced.module()(x), gradient(x), strict=True):
        assert (mine - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_what_shares_memory_as_it_should_is_traced_once():
    def model(x):
        return (x * 2.0).relu_().permute(1, 0) + x.permute(1, 0).mul(2.0).relu_()

    watch = mutations.watched(forms.table())
    make_fx(model, watch.table, "fake")(torch.ones(4, 3))
    assert not watch.lost
