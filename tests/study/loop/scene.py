"""Two devices with pictures like digits, the conformance vectors' bundle, and a branch of the own loop on them."""

import dataclasses

import numpy as np

from fedrela.conformance.files import ROUNDS_BUNDLE
from fedrela.core import bundle
from fedrela.core.tensors import Params
from fedrela.emulator.data.datasets import Dataset
from fedrela.emulator.data.shards import Shards, deal
from fedrela.study.config import Setting, Study, Training, Variant
from fedrela.study.loop.branch import Branch
from fedrela.study.runs import fleet
from fedrela.study.runs.cells import Cell, expand
from fedrela.study.runs.tasks import own_task
from fedrela.study.treatments import Treatment

OPENED = bundle.read(ROUNDS_BUNDLE)
ENGINE = fleet.engine(OPENED)
SETTING = Setting("a", imbalance=10, devices=2, alpha=1.0)


def digits_like() -> Dataset:
    """Four classes, pictures that are brighter the higher the class."""
    draw = np.random.default_rng(0)
    labels = np.arange(120) % 4
    pixels = draw.integers(0, 100, (120, 1, 8, 8), dtype=np.uint8) + (labels * 35).astype(np.uint8)[:, None, None, None]
    return Dataset(pixels[:100], labels[:100], pixels[100:], labels[100:], 10)


DATASET = digits_like()


def shards() -> Shards:
    """Who holds what; of the model's ten classes the last six have no sample."""
    dealt = deal(fleet.scenario(SETTING, 1), dataclasses.replace(DATASET, classes=4))
    return dataclasses.replace(dealt, class_counts=np.pad(dealt.class_counts, (0, 6)))


def cells(treatment: Treatment | None, method: str = "fedavg") -> dict[str, Cell]:
    """A trunk of two rounds and its branches of three, by their arms."""
    training = Training(rounds=5, epochs=2, batch_size=8, lr=0.1)
    variant = Variant("v", start=2, threshold_percent=30.0, treatment=treatment)
    study = Study("s", seeds=(1,), methods=(method,), training=training, setting=(SETTING,), variant=(variant,))
    return {cell.arm: cell for cell in expand(study, "d")}


def branch(treatment: Treatment, arm: str = "relabeled") -> Branch:
    """One arm of it."""
    held, cell = shards(), cells(treatment)[arm]
    own = treatment.kept() if arm == "kept" else treatment
    return Branch(own, ENGINE, own_task(cell, own, held), 0.1, held, DATASET)


def start() -> Params:
    """The bundle's weights."""
    return dict(OPENED.weights)
