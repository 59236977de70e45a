"""What a branch keeps comes back as it was."""

import dataclasses

import numpy as np

from fedrela.study.loop import state as states
from fedrela.study.loop.drift import Controls
from fedrela.study.loop.labels import Labels
from fedrela.study.loop.state import State

WEIGHTS = {"b": np.array([1.5, -2.0], np.float32), "a/with a slash": np.array([[3.0]], np.float32)}


def labels(count):
    return Labels(np.arange(count), np.arange(count)[::-1].copy(), np.linspace(0, 1, count, dtype=np.float32))


def test_all_of_it_comes_back(tmp_path):
    devices = tuple(labels(count) for count in range(1, 13))  # 10 comes after 9
    controls = Controls(WEIGHTS, tuple({name: array * k for name, array in WEIGHTS.items()} for k in range(12)))
    kept = State(7, WEIGHTS, devices, controls, 0.1 + 0.2, 3.25)
    kept.write(tmp_path / "folder" / "branch.state")
    back = states.read(tmp_path / "folder" / "branch.state", WEIGHTS)
    assert (back.round, back.clip, back.seconds) == (7, 0.1 + 0.2, 3.25)
    assert list(back.weights) == list(WEIGHTS)
    for one, other in zip((*devices,), back.labels, strict=True):
        for field in dataclasses.fields(Labels):
            np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))
    for one, other in zip(
        (controls.fleet, *controls.devices), (back.controls.fleet, *back.controls.devices), strict=True
    ):
        for name, array in one.items():
            np.testing.assert_array_equal(other[name], array)
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["branch.state"]


def test_what_has_not_begun_is_none_and_what_has_no_controls_has_none(tmp_path):
    assert states.read(tmp_path / "nothing", WEIGHTS) is None
    State(1, WEIGHTS, (labels(3),)).write(tmp_path / "state")
    assert states.read(tmp_path / "state", WEIGHTS).controls is None
