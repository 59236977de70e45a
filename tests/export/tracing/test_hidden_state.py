"""What a model keeps from one forward pass to the next: found and named, or no state at all, or a part of the state."""

import pytest
import torch
from torch import nn

from fedrela.core.errors import UnsupportedOperation, VerificationFailed
from fedrela.export.inputs import parse
from fedrela.export.recipe import Recipe
from fedrela.export.tracing.model_analysis import analyze
from fedrela.export.verification import repetition
from fedrela.export.verification.comparison import training_errors
from tests.export.tracing.keeping_models import (
    Batchless,
    Net,
    Schedule,
    WithBuffer,
    another_first_pass,
    average,
    average_assigned,
    begun_anew,
    cached,
    cached_buffer,
    cached_by_key,
    counted,
    counted_for_later,
    counted_in_training,
    done_once,
    first_data,
    float_counter,
    idle_counter,
    last_output,
    listed,
    only_written,
    scheduled,
    small_enough,
    tensor_in_place,
    trained_for_evaluation,
    whole_number,
    whole_number_assigned,
    whole_number_by_python,
)

RECIPE = Recipe((parse("float32:4"),), classes=3)


KEPT = {
    "a count that warms up": lambda: Net(counted, calls=0),
    "a count that matters in ten thousand steps": lambda: Net(counted_for_later, calls=0),
    "a count that evaluation reads": lambda: Net(counted_in_training, calls=1),
    "the last output": lambda: Net(last_output, last=None),
    "whether there was an output": lambda: Net(another_first_pass, last=None),
    "an output that is compared": lambda: Net(small_enough, last=None),
    "a list that grows": lambda: Net(listed, seen=[]),
    "a scale of the first data": lambda: Net(first_data, scale=None),
    "what training leaves for evaluation": lambda: Net(trained_for_evaluation, mean=torch.zeros(3)),
    "a tensor that is no buffer": lambda: Net(tensor_in_place, running=torch.zeros(3)),
    "an object of one's own": lambda: Net(scheduled, schedule=Schedule()),
}


@pytest.mark.parametrize("name", KEPT)
def test_what_is_kept_beside_the_state_is_named(name):
    model = nn.Sequential(nn.Tanh(), KEPT[name]())
    attribute = next(
        key for key in vars(model[1]) if key in {"calls", "last", "seen", "scale", "mean", "running", "schedule"}
    )
    with pytest.raises(
        UnsupportedOperation, match=f"changes the attribute '{attribute}' of 1, and the next one reads it"
    ):
        analyze(model, RECIPE)


COUNTERS = {
    "in place": lambda: WithBuffer(whole_number, torch.zeros((), dtype=torch.int64)),
    "assigned": lambda: WithBuffer(whole_number_assigned, torch.ones((), dtype=torch.int32)),
    "read by Python": lambda: WithBuffer(whole_number_by_python, torch.zeros((), dtype=torch.int64)),
    "a flag": lambda: WithBuffer(done_once, torch.zeros((), dtype=torch.bool)),
}


@pytest.mark.parametrize("name", COUNTERS)
def test_a_buffer_of_whole_numbers_that_is_computed_with_is_named(name):
    with pytest.raises(UnsupportedOperation, match="changes the buffer 'buffer'"):
        analyze(COUNTERS[name](), RECIPE)


def test_a_cumulative_average_is_named_with_its_layer_and_a_remedy():
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3, momentum=None))
    with pytest.raises(UnsupportedOperation, match=r"1: a BatchNorm layer with momentum=None"):
        analyze(model, RECIPE)
    frozen = Recipe((parse("float32:4"),), classes=3, trainable=("0.*",))
    assert analyze(model, frozen).held == ("1",)


def test_a_parameter_that_the_forward_pass_changes_is_named():
    model = nn.Sequential(nn.Embedding(9, 4, max_norm=0.1), nn.Flatten(), nn.Linear(8, 3))
    with pytest.raises(UnsupportedOperation, match=r"changes the parameter '0\.weight'"):
        analyze(model, Recipe((parse("int64:2:9"),), classes=3))


RIGHT = {
    "attributes that are only written": lambda: Net(only_written),
    "a mask made when it is first needed": lambda: Net(cached, mask=None),
    "masks by length": lambda: Net(cached_by_key, masks={}),
    "a buffer made when it is first needed": lambda: WithBuffer(cached_buffer, None),
    "a tensor that begins anew": lambda: Net(begun_anew, last=torch.zeros(0)),
    "a buffer that begins anew": lambda: WithBuffer(begun_anew, torch.zeros(0), name="last"),
    "a whole number that nothing reads": lambda: WithBuffer(idle_counter, torch.zeros((), dtype=torch.int64)),
    "a running value": lambda: WithBuffer(average, torch.zeros(3)),
    "a running value, assigned": lambda: WithBuffer(average_assigned, torch.zeros(3)),
    "a count in float32": lambda: WithBuffer(float_counter, torch.zeros(())),
}


IN_EVERY_RUN = {"a mask made when it is first needed", "a running value, assigned", "a buffer that begins anew"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.deep] * (name not in IN_EVERY_RUN)) for name in RIGHT]
)
def test_what_is_no_state_and_what_is_a_part_of_it_is_trained_as_eager_pytorch_does(name):
    if name.startswith("a running value") or name == "a count in float32":
        model = nn.Sequential(Batchless(), RIGHT[name]())
    else:
        model = RIGHT[name]()
    assert max(training_errors(model, RECIPE, "onnx").values()) <= 1e-4


def test_counts_of_a_class_are_found_by_repetition():
    class Global(nn.Linear):
        calls = 0

        def forward(self, x):
            Global.calls += 1
            return super().forward(x) * (1 if Global.calls < 25 else 2)

    model = Global(4, 3)
    analyzed = analyze(model, RECIPE)
    with pytest.raises(VerificationFailed, match=r"logits differs in forward pass \d+"):
        repetition.check(model, RECIPE, analyzed)
