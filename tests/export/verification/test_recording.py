"""Golden steps of a network some of whose gradient is decided by rounding: it is recorded, with slack."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fedrela.core import golden, tensors
from fedrela.core.bundle import Manifest
from fedrela.core.errors import VerificationFailed
from fedrela.export.verification import recording, stability
from tests.core.test_golden import MANIFEST, predict, relabel_program, train


def at_a_kink(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A step whose weights move by 1 % more where the last digits of their sum say so."""
    side = int(np.abs(given["w"]).sum(dtype=np.float64) * 1e7) % 2
    return train(given, slope=1 + 0.01 * side)


def the_other_side(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    side = int(np.abs(given["w"]).sum(dtype=np.float64) * 1e7) % 2
    return train(given, slope=1.01 - 0.01 * side)


def programs(train_step: Callable[..., Any]) -> Any:
    return SimpleNamespace(train_step=train_step, predict=predict, relabel=relabel_program)


def recorded(folder: Path, train_step: Callable[..., Any]) -> tuple[Manifest, dict[str, np.ndarray]]:
    """What a bundle would hold."""
    eager = programs(train_step)
    drawn = recording.draw(eager, eager, MANIFEST)
    halves = stability.MORE_PERTURBATIONS[::2], stability.MORE_PERTURBATIONS[1::2]
    more = [recording.jumps(eager, drawn, half) for half in halves] if drawn.unstable else []
    found = recording.write(drawn, more, folder)
    return replace(MANIFEST, golden=found), tensors.read((folder / found.path).read_bytes())


def test_what_rounding_decides_is_recorded_with_slack_for_either_side_and_no_more(tmp_path: Path) -> None:
    manifest, expected = recorded(tmp_path, at_a_kink)
    assert golden.SLACK + "train_step.0.new.w" in expected
    assert golden.SLACK + "train_step.0.new.b" not in expected
    golden.check(manifest, expected, golden.run(manifest, the_other_side, predict, relabel_program))
    for wrong in (lambda given: train(given, slope=-1.0), lambda given: train(given, slope=2.0)):
        with pytest.raises(VerificationFailed, match=r"train_step\.\d\.new"):
            golden.check(manifest, expected, golden.run(manifest, wrong, predict, relabel_program))


def test_steps_that_float32_decides_get_none(tmp_path: Path) -> None:
    _, expected = recorded(tmp_path, train)
    assert not [name for name in expected if name.startswith(golden.SLACK)]
