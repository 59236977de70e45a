"""Golden steps on a program simple enough to write here: softmax regression in numpy."""

from dataclasses import replace

import numpy as np
import pytest

from fedrela.core import golden
from fedrela.core.bundle import Golden, Manifest, Program, ProgramFile, ProgramInput
from fedrela.core.errors import VerificationFailed
from fedrela.core.relabel import relabel

FILE = ProgramFile("onnx", "p.onnx", "0" * 64, 1, "1.17")
MANIFEST = Manifest(
    name="softmax-regression",
    classes=3,
    train_step=Program(
        (
            ProgramInput("w", "parameter", (3, 4)),
            ProgramInput("b", "parameter", (3,)),
            ProgramInput("steps", "buffer", (1,)),
            ProgramInput("momentum.w", "optimizer", (3, 4)),
            ProgramInput("x", "x", ("B", 4), "uint8"),
            ProgramInput("tokens", "x", ("B", 2), "int64"),
            ProgramInput("signal", "x", ("B", 2)),
            ProgramInput("y", "y", ("B",), "int64"),
            ProgramInput("weight", "weight", ("B",)),
            ProgramInput("lr", "hyperparameter", ()),
            ProgramInput("decay", "hyperparameter", ()),
            ProgramInput("noise", "random", ("B", 2)),
            ProgramInput("prior", "class_prior", (3,)),
            ProgramInput("anchor.w", "anchor", (3, 4)),
        ),
        ("new.w", "new.b", "new.steps", "new.momentum.w", "loss_sum", "correct_sum", "weight_sum"),
        (FILE,),
    ),
    predict=Program(
        (ProgramInput("w", "parameter", (3, 4)), ProgramInput("x", "x", ("B", 4))), ("probabilities",), (FILE,)
    ),
    relabel=Program(
        (
            ProgramInput("probabilities", "probabilities", ("N", 3)),
            ProgramInput("labels", "labels", ("N",), "int64"),
            ProgramInput("uniforms", "uniforms", ("N", 3)),
            ProgramInput("threshold_percent", "threshold_percent", ()),
        ),
        ("new_labels", "flip_rate"),
        (FILE,),
    ),
    golden=Golden("golden.safetensors", "0" * 64, 1, token_limit=11),
    hyperparameters={"lr": 1.0, "decay": 0.25},
)


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def train(feeds, slope=1.0):
    x = feeds["x"].astype(np.float32) / 255
    p = softmax(x @ feeds["w"].T + feeds["b"])
    g = (p - np.eye(3, dtype=np.float32)[feeds["y"]]) * feeds["weight"][:, None] / feeds["weight"].sum()
    new_w = feeds["w"] - feeds["lr"] * np.float32(slope) * (g.T @ x)
    right = (p.argmax(1) == feeds["y"]) * feeds["weight"]
    loss = -np.log(p[np.arange(len(p)), feeds["y"]]) * feeds["weight"]
    return {
        "new.w": new_w,
        "new.b": feeds["b"] - feeds["lr"] * g.sum(0),
        "new.steps": feeds["steps"] + 1,
        "new.momentum.w": feeds["momentum.w"] + 1,
        "loss_sum": loss.sum(),
        "correct_sum": right.sum(),
        "weight_sum": feeds["weight"].sum(),
    }


def predict(feeds):
    return {"probabilities": softmax(feeds["x"] @ feeds["w"].T)}


def relabel_program(feeds):
    arguments = (feeds["probabilities"], feeds["labels"], feeds["uniforms"])
    result = relabel(*arguments, threshold_percent=float(feeds["threshold_percent"]))
    return {"new_labels": result.labels, "flip_rate": result.flip_rate.astype(np.float32)}


def record(train_step=train):
    return golden.run(MANIFEST, train_step, predict, relabel_program)


def test_inputs_obey_their_rules():
    feeds = golden.inputs(MANIFEST, "train_step", 1)
    assert {name: (array.shape, array.dtype.name) for name, array in feeds.items()} == {
        item.name: (tuple(8 if d == "B" else d for d in item.shape), item.dtype) for item in MANIFEST.train_step.inputs
    }
    assert np.abs(feeds["w"]).max() <= np.sqrt(3 / 4)
    assert 0.5 <= feeds["b"].min() < feeds["b"].max() < 1.5
    assert feeds["tokens"].max() < 11
    assert feeds["weight"].tolist() == [1] * 7 + [0]
    assert (feeds["lr"], feeds["decay"]) == (np.float32(0.05), 0.25)
    assert feeds["prior"].sum() == pytest.approx(1)
    assert not feeds["momentum.w"].any()


def test_inputs_differ_by_step_but_the_state_is_made_once():
    first, second = golden.inputs(MANIFEST, "train_step", 0), golden.inputs(MANIFEST, "train_step", 1)
    assert np.array_equal(first["w"], second["w"])
    assert not np.array_equal(first["x"], second["x"])


def test_a_run_agrees_with_itself_and_covers_every_output():
    recorded = record()
    assert len(recorded) == 3 * 7 + 1 + 2
    assert set(golden.check(MANIFEST, recorded, record()).values()) == {0.0}
    assert recorded["train_step.2.new.steps"] == pytest.approx(golden.inputs(MANIFEST, "train_step", 0)["steps"] + 3)


def test_slack_is_taken_off_the_error_of_its_output_alone():
    recorded, actual = record(), record()
    name, other = "train_step.1.new.w", "train_step.1.new.b"
    off = np.float32(0.25 * golden.scales(MANIFEST, recorded)[name])
    actual[name] = actual[name] + off
    actual[other] = actual[other] + off
    strict = golden.errors(MANIFEST, recorded, actual)
    with_slack = recorded | {golden.SLACK + name: np.asarray(0.8 * off, np.float32)}
    errors = golden.errors(MANIFEST, with_slack, actual)
    assert errors.keys() == recorded.keys()
    assert errors[name] == pytest.approx(strict[name] * 0.2, rel=1e-3)
    assert errors[other] == strict[other] > 0
    actual[name][:] = np.nan
    assert golden.errors(MANIFEST, with_slack, actual)[name] == np.inf


@pytest.mark.parametrize("slack", [1e38, np.inf, np.nan, 1.0])
def test_no_slack_lets_a_wrong_step_pass(slack):
    recorded, wrong = record(), record(lambda feeds: train(feeds, -1.0))
    generous = recorded | {golden.SLACK + name: np.asarray(slack, np.float32) for name in recorded}
    with pytest.raises(VerificationFailed, match=r"train_step\.0\.new\.w"):
        golden.check(MANIFEST, generous, wrong)


def test_the_golden_relabeling_moves_some_labels():
    feeds = golden.inputs(MANIFEST, "relabel", 0)
    assert (relabel_program(feeds)["new_labels"] != feeds["labels"]).any()


@pytest.mark.parametrize("slope", [1.01, 0.0, -1.0])
def test_a_wrong_gradient_is_named_even_where_the_weight_hides_it(slope):
    with pytest.raises(VerificationFailed, match=r"train_step\.0\.new\.w"):
        golden.check(MANIFEST, record(), record(lambda feeds: train(feeds, slope)))


def test_nan_and_another_shape_are_infinitely_wrong():
    assert golden.relative_error(np.ones(2), np.array([1, np.nan])) == float("inf")
    assert golden.relative_error(np.ones(2), np.ones(3)) == float("inf")
    assert golden.relative_error(np.zeros(2), np.zeros(2)) == 0


def test_large_outputs_are_sampled_evenly():
    assert golden.sample(np.arange(512)).tolist() == list(range(512))
    assert golden.sample(np.arange(1000)).tolist() == [i * 1000 // 512 for i in range(512)]


def test_the_tolerance_is_the_manifests():
    loose = replace(MANIFEST, golden=replace(MANIFEST.golden, tolerance=10.0))
    golden.check(loose, record(), record(lambda feeds: train(feeds, 1.01)))


def test_the_state_that_errors_are_relative_to_is_the_one_that_a_run_starts_from():
    """Only what is recorded of it is made: of a large model, making the rest would take seconds."""
    shapes = {"parameter": (70, 30), "buffer": (2100,), "optimizer": (70, 30)}
    state = tuple(ProgramInput(role, role, shape) for role, shape in shapes.items())
    large = replace(MANIFEST, train_step=Program(state, tuple(f"new.{role}" for role in shapes), ()))
    first = golden.inputs(large, "train_step", 0)
    moved = {f"train_step.0.new.{role}": golden.sample(first[role] + np.float32(0.5)) for role in shapes}
    for name, scale in golden.scales(large, moved).items():
        role = name.rpartition(".")[2]
        assert scale == golden.change_scale(moved[name], golden.sample(first[role]))


def test_inputs_that_were_made_before_give_the_same_run():
    fed = golden.given(MANIFEST)
    again = golden.run(MANIFEST, train, predict, relabel_program, fed=fed)
    for name, value in golden.run(MANIFEST, train, predict, relabel_program).items():
        np.testing.assert_array_equal(again[name], value)


def test_large_arrays_are_compared_to_their_last_element():
    one = np.zeros(200_000, np.float32)
    other = one.copy()
    other[-1] = 0.25
    assert golden.difference(one, other) == 0.25
    assert golden.change_scale(other, one) == 0.25 + 0.01 * 0.25
    other[70_000] = np.nan
    assert golden.difference(one, other) == float("inf")
