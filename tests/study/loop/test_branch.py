"""The study's own loop is the fleet's where a treatment asks for nothing; killed, it ends as if it had not been."""

import dataclasses

import numpy as np
import pytest

from fedrela.study.loop import branch as own_loop
from fedrela.study.runs import fleet
from fedrela.study.runs.tasks import branch_task
from fedrela.study.treatments import Treatment
from tests.study.loop.scene import DATASET, OPENED, branch, cells, shards, start

EVERY = [
    Treatment(),
    Treatment(relabels="soft", counts="fleet"),
    Treatment(correction="scaffold"),
    Treatment(synthesis="generated"),
    Treatment(synthesis="smote"),
    Treatment(noise_multiplier=0.1, after=1),
]


@pytest.mark.parametrize("arm", ["kept", "relabeled"])
def test_plain_it_gives_the_weights_of_the_emulated_fleet(arm, tmp_path):
    held = shards()
    task = branch_task(cells(None)[arm], held)
    theirs = fleet.train(OPENED, task, held, DATASET, frozenset({3})).weights[3]
    ours = own_loop.run(branch(Treatment(), arm), start(), tmp_path / "state").weights
    for name, array in theirs.items():
        np.testing.assert_allclose(ours[name], array, rtol=0, atol=1e-7)
    assert any((ours[name] != start()[name]).any() for name in ours)


class Killed(Exception):
    """Where a process would end."""


@pytest.mark.parametrize("treatment", EVERY, ids=lambda one: repr(one.shown()))
def test_killed_after_any_round_it_ends_with_the_same_bits(treatment, tmp_path):
    whole = own_loop.run(branch(treatment), start(), tmp_path / "whole")

    def killed(number):
        raise Killed

    for number in (1, 2, 3):
        with pytest.raises(Killed):
            own_loop.run(branch(treatment), start(), tmp_path / "again", killed)
        assert (tmp_path / "again").exists(), number
    again = own_loop.run(branch(treatment), start(), tmp_path / "again")
    assert again.round == whole.round == 3
    for name, array in whole.weights.items():
        np.testing.assert_array_equal(again.weights[name], array)
    for one, other in zip(whole.labels, again.labels, strict=True):
        np.testing.assert_array_equal(one.second, other.second)
        np.testing.assert_array_equal(one.shares, other.shares)


@pytest.mark.parametrize("treatment", EVERY[1:], ids=lambda one: repr(one.shown()))
def test_every_treatment_does_something(treatment, tmp_path):
    plain = own_loop.run(branch(Treatment(after=treatment.after)), start(), tmp_path / "plain").weights
    treated = own_loop.run(branch(treatment), start(), tmp_path / "treated").weights
    assert any((treated[name] != plain[name]).any() for name in plain)


def test_the_rate_falls_and_labels_change_after_the_rounds_that_are_named(tmp_path):
    treatment = Treatment(after=2)
    own = branch(treatment)
    rates = [own.rates(number)["lr"] for number in (1, 2, 3)]
    assert rates == pytest.approx([0.1, 0.1, 0.01])
    states = []
    own_loop.run(own, start(), tmp_path / "state", lambda number: states.append(_labels(tmp_path / "state")))
    y = np.concatenate([examples.y for examples in own.examples])
    assert (states[0] == y).all()
    assert (states[1] == y).all()
    assert (states[2] != y).any()


def _labels(path):
    state = own_loop.states.read(path, start())
    return np.concatenate([one.first for one in state.labels])


def test_the_branch_that_keeps_its_labels_has_no_treatment():
    own = branch(dataclasses.replace(Treatment(synthesis="smote", correction="scaffold"), after=1), "kept")
    assert own.treatment == Treatment(after=1, relabels="none")
    assert own.task.local.synthesis == "none"
    assert own.rates(2)["lr"] == pytest.approx(0.01)
