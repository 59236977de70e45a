"""Taking out operators that copy nothing: what stays computes the same, and an output is never an input."""

import pytest
import torch

from fedrela.export.executorch_programs import forms
from fedrela.export.executorch_programs.copies import without_copies
from fedrela.export.executorch_programs.program import lower
from fedrela.export.tracing.trace import trace

aten = torch.ops.aten


def cleaned(function, *examples):
    program = torch.export.export(Wrapped(function), examples)
    flat = program.run_decompositions(forms.table())
    without_copies(flat)
    return flat, [node.target for node in flat.graph.nodes if node.op == "call_function"]


class Wrapped(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def test_aliases_clones_and_expansions_to_the_same_shape_are_gone_and_views_of_views_are_one():
    def function(x):
        same = aten.expand.default(aten.clone.default(aten.alias.default(x)), [2, 6])
        return aten.view.default(aten.view.default(same, [3, 4]), [12]) * 2.0

    flat, targets = cleaned(function, torch.rand(2, 6))
    assert targets == [aten.view.default, aten.mul.Tensor]
    x = torch.rand(2, 6)
    assert torch.equal(flat.module()(x), function(x))


def test_a_copy_over_another_tensor_is_its_source():
    flat, targets = cleaned(lambda x, y: aten.copy.default(x, y) + 1.0, torch.rand(3), torch.rand(3))
    assert targets == [aten.add.Tensor]
    x, y = torch.rand(3), torch.rand(3)
    assert torch.equal(flat.module()(x, y), y + 1.0)


def test_a_copy_that_widens_or_converts_stays():
    _, targets = cleaned(
        lambda x: aten._to_copy.default(aten.expand.default(x, [2, 6]), dtype=torch.float64), torch.rand(6)
    )
    assert len(targets) == 2


def test_squeezing_is_a_view():
    _, targets = cleaned(lambda x: (x.squeeze(1) * 2.0).unsqueeze(-1).squeeze(), torch.rand(3, 1, 4))
    assert set(targets) == {aten.view.default, aten.mul.Tensor}


@pytest.mark.parametrize("outputs", [lambda x: (x.detach(),), lambda x: (x.clone(), x.clone()), lambda x: (x + 1,) * 2])
def test_outputs_that_are_inputs_or_the_same_twice_run(outputs):
    from executorch.runtime import Runtime

    body = lower(trace(outputs, (torch.ones(2, 3),), ((2, 3),), table=forms.table()), max_batch=2)
    x = torch.rand(2, 3)
    found = Runtime.get().load_program(body).load_method("forward").execute([x])
    assert all(torch.equal(mine, wanted) for mine, wanted in zip(found, outputs(x), strict=True))
