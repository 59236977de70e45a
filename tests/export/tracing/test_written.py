"""What a forward pass writes, also where that changes nothing on its data: a part of the state, or refused."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from fedrela.core.errors import UnsupportedOperation
from fedrela.export.inputs import parse
from fedrela.export.recipe import Recipe
from fedrela.export.tracing.dataflow import Dataflow
from fedrela.export.tracing.model_analysis import analyze
from fedrela.export.tracing.written import Watch
from fedrela.export.verification.comparison import training_errors
from tests.export.tracing.keeping_models import WithBuffer

RECIPE = Recipe((parse("float32:4"),), classes=3)


def largest(own, y):
    """Far above what the analysis ever feeds."""
    if own.training:
        with torch.no_grad():
            own.buffer.copy_(torch.maximum(own.buffer, y.detach().abs().max()))
    return y / own.buffer


def largest_assigned(own, y):
    if own.training:
        own.buffer = torch.maximum(own.buffer, y.detach().abs().max())
    return y / own.buffer


def largest_by_data(own, y):
    if own.training:
        own.buffer.data.clamp_(min=1.0)
    return y / own.buffer


@pytest.mark.parametrize("write", [largest, largest_assigned, largest_by_data])
def test_a_buffer_that_is_written_is_state_whatever_the_data(write):
    model = WithBuffer(write, torch.tensor(100.0))
    assert analyze(model, RECIPE).changed == ("buffer",)


def test_a_running_maximum_is_trained_as_eager_pytorch_does():
    torch.manual_seed(0)
    assert max(training_errors(WithBuffer(largest, torch.tensor(8.0)), RECIPE, "onnx").values()) <= 1e-4


def test_a_flag_that_no_data_of_ours_set_is_refused():
    def flagged(own, y):
        if own.training:
            own.buffer.logical_or_((y.detach() > 1e6).any(0))
        return y * (1 - own.buffer.float())

    with pytest.raises(UnsupportedOperation, match="changes the buffer 'buffer'"):
        analyze(WithBuffer(flagged, torch.zeros(3, dtype=torch.bool)), RECIPE)


def test_a_parameter_that_would_be_changed_by_other_data_is_refused():
    model = nn.Sequential(nn.Embedding(9, 4, max_norm=1e6), nn.Flatten(), nn.Linear(8, 3))
    with pytest.raises(UnsupportedOperation, match=r"changes the parameter '0\.weight'"):
        analyze(model, Recipe((parse("int64:2:9"),), classes=3))


@pytest.mark.parametrize("make", [parametrizations.spectral_norm, nn.utils.spectral_norm])
def test_vectors_of_a_spectral_norm_that_have_converged_are_state_all_the_same(make):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), make(nn.Linear(3, 1)), nn.Linear(1, 3))
    with torch.no_grad():
        for _ in range(50):
            model(torch.zeros(2, 4))
    assert len(analyze(model, RECIPE).changed) == 2
    assert max(training_errors(model, RECIPE, "onnx").values()) <= 1e-4


def test_what_is_assigned_as_it_was_or_has_another_shape_is_not_written():
    model = nn.Linear(1, 1)
    for name in ("same", "longer"):
        model.register_buffer(name, torch.ones(2))
    watch = Watch(model)
    with Dataflow({}) as flow:
        model.same = model.same.detach()
        model.longer = torch.ones(3)
    assert watch.written(flow) == set()
