"""The local round against its own definition, written again in numpy."""

import itertools

import numpy as np
import pytest

from fedrela.core import relabel as reference
from fedrela.core import streams
from fedrela.core.errors import InvalidTask, InvalidTensors
from fedrela.core.task import LocalTraining, Relabel, Task
from fedrela.edge.engines.onnx_engine import OnnxEngine
from fedrela.edge.training import holdout, local_round
from fedrela.edge.training.local_round import LocalRound
from tests.edge import softmax_bundle as small
from tests.edge.conftest import some_examples

SECRET = b"a device's own secret"
TASK = Task("t", rounds=10, seed=4, local=LocalTraining(epochs=3, batch_size=5, hyperparameters={"lr": 0.3}))


def stream(*purpose: str | int) -> streams.Stream:
    return streams.derive(SECRET, "fedrela/v1", 4, 2, *purpose)


def numpy_round(weights: dict, x: np.ndarray, y: np.ndarray, *, lr: float) -> dict:
    """Three epochs of batches of five, as the documentation of the streams says it."""
    state = dict(weights) | {f"momentum.{name}": np.zeros_like(array) for name, array in weights.items()}
    step = 0
    for epoch in range(3):
        order = streams.permutation(stream("shuffle", epoch), len(y))
        for start in range(0, len(y), 5):
            rows = order[start : start + 5]
            noise = streams.uniforms(stream("train", step, "noise"), (len(rows), small.PIXELS))
            state, _, _ = small.numpy_step(state, x[rows], y[rows], np.ones(len(rows)), noise, lr=lr, momentum=0.5)
            step += 1
    return state


@pytest.mark.parametrize("count", [23, 20, 5, 1])
def test_a_round_equals_numpy(engine: OnnxEngine, count: int) -> None:
    examples, weights = some_examples(count), small.start_weights()
    local, state = LocalRound(TASK, 2, SECRET), engine.start(weights)
    steps = list(itertools.chain.from_iterable(local_round.train(engine, local, examples, examples.y, state)))
    want = numpy_round(weights, examples.x["x"], examples.y, lr=0.3)
    assert [step.number for step in steps] == list(range(1, local_round.step_count(TASK, count) + 1))
    for name, array in local_round.change(engine, state, weights).items():
        np.testing.assert_allclose(array, want[name] - weights[name], rtol=1e-4, atol=1e-6)


def test_stopping_at_any_step_and_going_on_gives_the_same_bits(engine: OnnxEngine) -> None:
    examples, weights, local = some_examples(), small.start_weights(), LocalRound(TASK, 2, SECRET)
    undisturbed = engine.start(weights)
    total = len(list(local_round.train(engine, local, examples, examples.y, undisturbed)))
    for stop in range(1, total):
        first = engine.start(weights)
        for steps in local_round.train(engine, local, examples, examples.y, first):
            if steps[-1].number == stop:
                break
        second = engine.restore(weights, engine.snapshot(first))
        list(local_round.train(engine, local, examples, examples.y, second, done=stop))
        for name, array in engine.weights(undisturbed).items():
            np.testing.assert_array_equal(engine.weights(second)[name], array)


def test_relabeling_equals_numpy(engine: OnnxEngine) -> None:
    task = Task("t", rounds=10, seed=4, relabel=Relabel(start=2, passes=3, threshold_percent=30.0))
    examples, weights = some_examples(600), small.start_weights()
    probabilities = np.zeros((600, 3))
    for number in range(3):
        for index, start in enumerate(range(0, 600, 256)):
            x = examples.x["x"][start : start + 256]
            noise = streams.uniforms(stream("relabel-pass", number, index, "noise"), (len(x), small.PIXELS))
            probabilities[start : start + 256] += small.numpy_predict(weights, x, noise) / 3
    uniforms = streams.uniforms(stream("relabel-draw"), (600, 3))
    want = reference.relabel(probabilities, examples.y, uniforms, threshold_percent=30).labels
    got = local_round.relabel(engine, LocalRound(task, 2, SECRET), weights, examples)
    assert (want != examples.y).sum() > 10
    assert (got != want).sum() <= 2


def test_a_model_that_predicts_no_numbers_is_not_usable_and_gives_no_label_and_no_total(engine: OnnxEngine) -> None:
    """A re-labeling on NaN once counted as done."""
    good = small.start_weights()
    broken = good | {"w": np.full_like(good["w"], 3e38)}
    task = Task("t", rounds=10, relabel=Relabel(start=2))
    local, examples = LocalRound(task, 2, SECRET), some_examples()
    assert local_round.is_usable(engine, good)
    assert not local_round.is_usable(engine, broken)
    with pytest.raises(InvalidTensors, match="not finite"):
        local_round.relabel(engine, local, broken, examples)
    with pytest.raises(InvalidTensors, match="not finite"):
        holdout.evaluate(engine, local, broken, examples)


def test_the_learning_rate_falls_from_the_start_round_on(engine: OnnxEngine) -> None:
    task = Task(
        "t", rounds=10, relabel=Relabel(start=4, lr_scale=0.1), local=LocalTraining(hyperparameters={"lr": 0.3})
    )
    rates = [local_round.hyperparameters(engine.manifest, LocalRound(task, number, SECRET)) for number in (3, 4)]
    assert rates[0] == {"lr": 0.3, "momentum": 0.5}
    assert rates[1]["lr"] == pytest.approx(0.03)
    assert rates[1]["momentum"] == 0.5


def test_a_hyperparameter_that_no_program_takes_is_refused(engine: OnnxEngine) -> None:
    task = Task("t", rounds=1, relabel=Relabel(enabled=False), local=LocalTraining(hyperparameters={"beta": 1.0}))
    with pytest.raises(InvalidTask, match=r"no hyperparameter 'beta'; use one of lr, momentum"):
        local_round.hyperparameters(engine.manifest, LocalRound(task, 1, SECRET))


def test_a_limit_on_steps_holds(engine: OnnxEngine) -> None:
    task = Task("t", rounds=10, local=LocalTraining(epochs=3, batch_size=5, max_steps=4))
    examples = some_examples()
    steps = list(
        local_round.train(
            engine, LocalRound(task, 1, SECRET), examples, examples.y, engine.start(small.start_weights())
        )
    )
    assert [step.number for done in steps for step in done] == [1, 2, 3, 4]


def test_class_priors_are_shares() -> None:
    assert local_round.class_prior(np.array([0, 0, 2, 0]), 4).tolist() == [0.75, 0, 0.25, 0]
