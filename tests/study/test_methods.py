"""Every method of the table can be built, exported and sent; references reach what theory says they reach."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from fedrela.core import strict
from fedrela.core.data.partition import step_profile
from fedrela.core.task import Aggregation, Task
from fedrela.emulator.data.shards import Shards
from fedrela.export import losses
from fedrela.export.loading import load_model
from fedrela.study.config import Model, Setting, Study, Training
from fedrela.study.methods import METHODS
from fedrela.study.runs import centralized, fleet
from fedrela.study.runs.cells import expand
from fedrela.study.runs.centralized import Pooled, train_and_predict
from fedrela.study.runs.tasks import branch_task, trunk_task

PLAIN = METHODS["fedavg"]


def test_titles_are_different_and_every_method_names_its_source_and_year():
    assert len({method.title for method in METHODS.values()}) == len(METHODS)
    assert all(any(word.strip(",").isdigit() for word in method.source.split()) for method in METHODS.values())


@pytest.mark.parametrize("name", [name for name in METHODS if name != "fedavg"])
def test_every_method_differs_from_plain_fedavg_in_what_runs(name):
    words = {"title": "", "source": ""}
    assert dataclasses.replace(METHODS[name], **words) != dataclasses.replace(PLAIN, **words)


@pytest.mark.parametrize("name", METHODS)
def test_the_task_of_every_method_survives_the_wire(name):
    study = Study("s", seeds=(1,), methods=(name,), setting=(Setting("a"),))
    counts = step_profile(classes=4, largest=8, imbalance=4)
    shards = Shards(fleet.scenario(study.setting[0], 1), np.zeros(1, np.int64), np.zeros(1, np.int64), counts, ())
    for cell in expand(study, "d"):
        task = trunk_task(cell, cell.start, shards) if cell.arm == "trunk" else branch_task(cell, shards)
        assert strict.from_json(Task, strict.to_json(task)) == task
        assert task.aggregation == Aggregation(**METHODS[name].aggregation)
        assert set(METHODS[name].hyperparameters) <= set(task.local.hyperparameters)


@pytest.mark.parametrize("name", METHODS)
def test_loss_and_model_of_every_method_fit_each_other(name):
    method = METHODS[name]
    model = load_model("fedrela.study.models:digits_cnn" + method.model_suffix).train()
    logits = model(torch.zeros(3, 1, 8, 8))
    assert logits.shape == (3, 20 if name == "fedloge" else 10)
    assert model.eval()(torch.zeros(3, 1, 8, 8)).shape == (3, 10)
    if "--loss" in method.export:
        loss = method.export[method.export.index("--loss") + 1].format(classes=10)
        assert losses.find(loss) != losses.find("cross-entropy")


def reference(tmp_path, name, rounds=100, model="nn.Linear(2, 2)"):
    (tmp_path / "tiny.py").write_text(f"from torch import nn\n\n\ndef build():\n    return {model}\n")
    study = Study(
        "s",
        seeds=(1,),
        references=(name,),
        model=Model("tiny", f"{tmp_path / 'tiny.py'}:build", "float32:2"),
        training=Training(rounds, epochs=2, batch_size=4, lr=0.5),
    )
    return next(cell for cell in expand(study, "d") if cell.arm == "reference")


@pytest.mark.parametrize(("name", "share"), [("centralised", 0.75), ("centralised-balanced", 0.5)])
def test_where_images_say_nothing_a_reference_learns_the_prior_or_takes_it_out(tmp_path, name, share):
    x, y = np.zeros((4, 2), np.float32), np.array([0, 0, 0, 1])
    predicted = train_and_predict(reference(tmp_path, name), Pooled(x, y, x[:1], 2), lambda number: None)
    assert predicted[0] == pytest.approx([share, 1 - share], abs=1e-3)  # the only minimum; a batch holds all four


def test_a_reference_separates_what_is_separable_the_same_way_each_time(tmp_path):
    cell, passes = reference(tmp_path, "centralised"), []
    y = np.array([0, 1] * 6)
    x = np.stack([2.0 * y - 1, np.linspace(-1, 1, 12)], axis=1).astype(np.float32)
    first = train_and_predict(cell, Pooled(x, y, x, 2), passes.append)
    again = train_and_predict(cell, Pooled(x, y, x, 2), lambda number: None)
    assert passes == [*range(1, 201)]
    assert (first.argmax(axis=1) == y).all()
    assert first.sum(axis=1) == pytest.approx(np.ones(12), abs=1e-6)
    assert (first == again).all()


def test_a_lone_last_sample_does_not_break_batch_normalization(tmp_path):
    cell = reference(tmp_path, "centralised", rounds=2, model="nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2))")
    x = np.arange(10, dtype=np.float32).reshape(5, 2)
    predicted = train_and_predict(cell, Pooled(x, np.array([0, 0, 1, 1, 1]), x, 2), lambda number: None)
    assert all(math.isfinite(value) for value in predicted.ravel())


def test_a_killed_reference_goes_on_to_the_bit(tmp_path, monkeypatch):
    monkeypatch.setattr(centralized, "_KEEP_SECONDS", 0.0)
    layers = "nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.2), nn.BatchNorm1d(8), nn.Linear(8, 2))"
    cell, state = reference(tmp_path, "centralised", rounds=5, model=layers), tmp_path / "running" / "state.pt"
    x, y = np.random.default_rng(0).normal(size=(12, 2)).astype(np.float32), np.array([0, 1] * 6)
    whole = train_and_predict(cell, Pooled(x, y, x, 2), lambda number: None)
    passes = []

    def killed_in_the_ninth_epoch(number):  # after the learning rate has fallen
        passes.append(number)
        if number == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_and_predict(cell, Pooled(x, y, x, 2), killed_in_the_ninth_epoch, state=state)
    again = train_and_predict(cell, Pooled(x, y, x, 2), passes.append, state=state)
    assert passes == [*range(1, 10), 10]
    assert (again == whole).all()
