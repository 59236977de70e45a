"""A study's fleet ends where a device can't train: nothing in a study asks for that."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from fedrela.conformance.files import PUBLISHER_KEY, ROUNDS_BUNDLE
from fedrela.core import bundle, signing, tensors
from fedrela.core.task import Rounds, Task
from fedrela.emulator.data.datasets import Dataset
from fedrela.emulator.data.shards import deal
from fedrela.emulator.fleet.fleet import EmulationFailed
from fedrela.study.config import Setting
from fedrela.study.runs import fleet

TWO = fleet.scenario(Setting("a", imbalance=1, devices=2, alpha=100.0), 1)


def digits_like() -> Dataset:
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (60, 1, 8, 8), dtype=np.uint8)
    labels = np.arange(60) % 10
    return Dataset(pixels[:40], labels[:40], pixels[40:], labels[40:], 10)


def with_other_golden_steps(folder: Path) -> bundle.Bundle:
    """The bundle, but its golden file says that the first output is twice what it is."""
    shutil.copytree(ROUNDS_BUNDLE, folder)
    opened = bundle.read(folder)
    golden = opened.manifest.golden
    recorded = tensors.read((folder / golden.path).read_bytes())
    first = min(recorded)
    body = tensors.to_bytes(recorded | {first: 2 * recorded[first] + 1})
    (folder / golden.path).write_bytes(body)
    changed = dataclasses.replace(golden, sha256=signing.sha256(body), size_bytes=len(body))
    manifest = dataclasses.replace(opened.manifest, golden=changed)
    bundle.write(folder, manifest, opened.weights, private_key=PUBLISHER_KEY)
    return bundle.read(folder)


def test_devices_that_fail_the_golden_steps_end_the_study_with_the_reason(tmp_path):
    broken = with_other_golden_steps(tmp_path / "bundle")
    task = Task("t", rounds=2, round=Rounds(goal=2, smallest_cohort=2))
    with pytest.raises(EmulationFailed, match="could not take its turn: self-test-failed") as failed:
        fleet.train(broken, task, deal(TWO, digits_like()), digits_like(), frozenset({2}))
    assert f"fedrela verify {broken.folder}" in str(failed.value)
