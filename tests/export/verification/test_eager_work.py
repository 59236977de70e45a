"""What is worked out in eager PyTorch beside tracing is the same wherever it is; a refusal waits for a closer look."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fedrela.export import bundling, export_classifier
from fedrela.export.bundling import Exported
from fedrela.export.reporting import stages
from fedrela.export.verification import eager_work
from fedrela.export.verification.equality import VerificationResult
from fedrela.export.verification.fresh_process import FreshProcess
from tests.export.conftest import OPTIONS, tiny


@pytest.mark.parametrize(
    ("fork", "threads"), [(True, 2), (False, 2), (False, 1)], ids=["in a fork", "here", "here with one thread"]
)
def test_a_golden_file_is_the_same_wherever_its_steps_were_made(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fork: bool, threads: int
) -> None:
    monkeypatch.setattr(eager_work, "_LONG", 0.0 if fork else math.inf)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        again = export_classifier(tiny(), out=tmp_path / "again", **OPTIONS)
    finally:
        torch.set_num_threads(before)
    golden = "golden.safetensors"
    assert (again.folder / golden).read_bytes() == (exported.folder / golden).read_bytes()


@pytest.mark.parametrize("error", [math.nan, 2e-4])
def test_before_a_refusal_the_fresh_steps_are_looked_at_thoroughly_and_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: float
) -> None:
    run = bundling._run

    def off_at_first(draft: Path, fresh: Mapping[str, FreshProcess]) -> tuple[VerificationResult, ...]:
        (found,) = run(draft, fresh)
        assert found.right
        return (replace(found, steps=found.steps | {"train_step.2.loss_sum": error}),)

    monkeypatch.setattr(bundling, "_run", off_at_first)
    lines: list[str] = []
    exported = export_classifier(tiny(), out=tmp_path / "bundle", **OPTIONS | {"report": lines.append})
    assert lines[-2] == stages.THOROUGH
    assert exported.largest_error < 1e-4
    assert not (exported.folder / "steps.safetensors").exists()
