"""Hooks on tensors and shared memory, which no copy has: refused by name, and only where they matter."""

import pytest
import torch
from torch import nn

from fedrela.core.errors import UnsupportedOperation
from fedrela.export.classifier import gather
from fedrela.export.tracing.model_analysis import analyze
from fedrela.export.tracing.preparation import prepare
from fedrela.export.verification.comparison import training_errors


def recipe(**options):
    """Three classes of four numbers."""
    return gather(**{"input": "float32:4", "classes": 3} | options)


class Two(nn.Module):
    """Two layers of one shape and a head; `change` makes of the module whatever it likes, `extra` adds to its sum."""

    def __init__(self, change=lambda own: None, extra=lambda own, x: 0):
        super().__init__()
        self.a, self.b, self.head = nn.Linear(4, 5), nn.Linear(4, 5), nn.Linear(5, 3)
        self.extra = extra
        change(self)

    def forward(self, x):
        """x (B, 4)."""
        return self.head(torch.tanh(self.a(x)) + self.b(x) + self.extra(self, x))


def hooked(own):
    own.a.weight.register_hook(lambda gradient: gradient * 0)


def hooked_after(own):
    own.a.weight.register_post_accumulate_grad_hook(lambda parameter: None)


@pytest.mark.parametrize("change", [hooked, hooked_after])
def test_a_hook_on_a_trained_parameter_is_refused_with_its_name(change):
    with pytest.raises(UnsupportedOperation, match=r"^a\.weight has a hook on its gradient.*multiply the weight by"):
        prepare(Two(change), recipe())
    prepare(Two(change), recipe(trainable=("head.*",)))


def test_a_hook_that_was_taken_off_or_is_a_module_s_is_no_matter():
    model = Two()
    model.a.weight.register_hook(lambda gradient: gradient).remove()
    model.a.register_full_backward_hook(lambda module, given, taken: None)
    prepare(model, recipe())


def data_of_another(own):
    own.b.weight.data = own.a.weight.data


def in_part(own):
    own.b.bias.data = own.a.weight.data.view(-1)[3:8]


def detached(own):
    own.target = own.a.weight.detach()


def viewed(own):
    own.target = own.a.weight.view(5, 4)


def listed(own):
    own.kept = {"targets": [own.a.weight.detach()]}


def buffer_of_a_parameter(own):
    own.register_buffer("target", own.a.weight.detach())


def buffer_of_a_buffer(own):
    own.norm = nn.BatchNorm1d(5)
    own.register_buffer("target", own.norm.running_mean.view(5))


def reads(own, x):
    return x @ own.target.T


SHARED = {
    "data of another parameter": (data_of_another, Two().extra, r"^b\.weight lies in the memory of a\.weight"),
    "in part": (in_part, Two().extra, r"^b\.bias lies in the memory of a\.weight"),
    "an attribute": (detached, reads, "^target lies in the memory of a.weight"),
    "an attribute with a history": (viewed, reads, "^target lies in the memory of a.weight"),
    "a list in a dict": (listed, lambda own, x: x @ own.kept["targets"][0].T, r"^kept\.targets\.0 lies in the memory"),
    "a buffer": (buffer_of_a_parameter, reads, "^target lies in the memory of a.weight"),
    "a written buffer": (buffer_of_a_buffer, lambda own, x: own.norm(own.a(x)) + own.target, "lies in the memory of"),
}


@pytest.mark.parametrize("name", SHARED)
def test_memory_that_training_changes_under_another_name_is_refused(name):
    change, extra, message = SHARED[name]
    with pytest.raises(UnsupportedOperation, match=message):
        prepare(Two(change, extra), recipe())


def test_memory_that_is_shared_within_a_compiled_layer_is_refused():
    layer = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    layer[1].weight.data = layer[0].weight.data
    with pytest.raises(UnsupportedOperation, match="lies in the memory of"):
        prepare(nn.Sequential(torch.compile(layer), nn.Linear(4, 3)), recipe())


def one_parameter(own):
    own.b.weight = own.a.weight
    own.all = [own.a.weight]


def side_by_side(own):
    """As cuDNN keeps a layer's weights."""
    together = torch.randn(10, 4)
    own.a.weight.data, own.b.weight.data = together[:5], together[5:]


def interleaved(own):
    together = torch.randn(5, 8)
    own.a.weight.data, own.b.weight.data = together[:, :4], together[:, 4:]


def frozen_buffers(own):
    ones = torch.ones(5)
    own.register_buffer("one", ones)
    own.register_buffer("many", ones.expand(2, 5))


ALLOWED = {
    "one Parameter": (one_parameter, Two().extra),
    "side by side": (side_by_side, Two().extra),
    "interleaved": (interleaved, Two().extra),
    "an attribute that nothing reads": (detached, Two().extra),
    "buffers that nothing writes": (frozen_buffers, lambda own, x: own.one + own.many[0]),
    "old spectral_norm": (lambda own: nn.utils.spectral_norm(own.a), Two().extra),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_memory_that_is_shared_to_no_effect_is_allowed(name):
    change, extra = ALLOWED[name]
    assert analyze(prepare(Two(change, extra), recipe()), recipe()).trainable


def test_layers_side_by_side_are_trained_as_eager_pytorch_does():
    torch.manual_seed(0)
    assert max(training_errors(Two(interleaved), recipe(), "onnx").values()) <= 1e-4
