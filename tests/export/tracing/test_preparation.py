"""Models as people bring them: taken as they are meant, or refused in a sentence."""

import pytest
import torch
from torch import nn

from fedrela.core.errors import InvalidInput, UnsupportedOperation
from fedrela.export.classifier import gather
from fedrela.export.tracing.model_analysis import analyze
from fedrela.export.tracing.preparation import copied, prepare
from fedrela.export.verification.comparison import training_errors
from tests.export.tracing.brought_models import FORMS, Parent, PlainList, meta, net

IN_EVERY_RUN = {"an output object", "checkpointed, reentrant"}


def recipe(**options):
    """Three classes of four numbers, unless said."""
    return gather(**{"input": "float32:4", "classes": 3} | options)


@pytest.mark.parametrize("name", FORMS)
def test_a_model_is_taken_as_it_is_meant_and_what_was_done_is_said(name):
    build, options, expected = FORMS[name]
    said = []
    prepared = prepare(build(), recipe(**options), said.append)
    assert expected in " ".join(said)
    assert bool(said) == bool(expected)
    assert analyze(prepared, recipe(**options)).trainable


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.deep] * (name not in IN_EVERY_RUN)) for name in FORMS]
)
def test_it_is_trained_as_eager_pytorch_does(name):
    torch.manual_seed(0)
    build, options, _ = FORMS[name]
    programs = ("train_step", "predict")
    assert max(training_errors(build(), recipe(**options), "onnx", programs=programs).values()) <= 1e-4


REFUSED = {
    "scripted": (lambda: torch.jit.script(net()), UnsupportedOperation, "the model is scripted"),
    "scripted within": (lambda: nn.Sequential(torch.jit.script(net())), UnsupportedOperation, "0 is scripted"),
    "without values": (meta, InvalidInput, "0.weight has a shape and no values"),
    "layers in a list": (PlainList, InvalidInput, "in a plain list, 'layers'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_export_can_take_is_refused_in_a_sentence(name):
    build, kind, message = REFUSED[name]
    with pytest.raises(kind, match=message):
        prepare(build(), recipe())


def test_a_list_of_layers_that_torch_knows_is_nobodys_harm():
    assert isinstance(prepare(Parent(), recipe()), Parent)


def test_the_model_itself_is_left_alone():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)).half().eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    prepared = prepare(nn.DataParallel(model), recipe())
    assert prepared is not model
    assert not model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(value.dtype is before[name].dtype for name, value in model.state_dict().items())


def test_lazy_layers_get_the_same_weights_in_every_process():
    one, other = (prepare(nn.LazyLinear(3), recipe()) for _ in range(2))
    assert torch.equal(one.weight, other.weight)


def test_a_copy_keeps_what_is_tied():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    own = copied(nn.Sequential(torch.compile(model[0]), model[1]))
    assert own[0].weight is own[1].weight
