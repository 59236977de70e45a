"""What version 0.1 called otherwise is still read under its former name."""

from pathlib import Path

import pytest
from torch import nn
from typer.testing import CliRunner, Result

from fedrela.core import bundle
from fedrela.core.errors import InvalidInput
from fedrela.export import export_classifier
from fedrela.export.cli import app

LINEAR = "import torch\ndef build():\n    return torch.nn.Linear(3, 2)\n"


def export(folder: Path, *options: str) -> Result:
    """`fedrela export` of a linear model to `folder`/bundle."""
    (folder / "linear.py").write_text(LINEAR)
    target = [f"{folder}/linear.py:build", "--input", "float32:3", "--classes", "2", "--out", f"{folder}/bundle"]
    return CliRunner().invoke(app, ["export", *target, *options])


def defaults(folder: Path) -> dict[str, float]:
    """The hyperparameters' defaults in the bundle that was written."""
    return bundle.read(folder / "bundle").manifest.hyperparameters or {}


@pytest.mark.parametrize("option", [pytest.param("--hyperparameter", marks=pytest.mark.deep), "--set"])
def test_a_hyperparameters_default_is_read_under_both_options(tmp_path: Path, option: str) -> None:
    answer = export(tmp_path, option, "momentum=0.75", option, "lr=0.25")
    assert answer.exit_code == 0, answer.output
    assert defaults(tmp_path) == {"lr": 0.25, "momentum": 0.75, "weight_decay": 0.0}


def test_both_options_at_once_are_refused_by_name(tmp_path: Path) -> None:
    answer = export(tmp_path, "--hyperparameter", "momentum=0.75", "--set", "lr=0.25")
    assert isinstance(answer.exception, InvalidInput)
    assert "--hyperparameter" in answer.exception.problem
    assert "--set" in answer.exception.problem
    assert not (tmp_path / "bundle").exists()


def test_help_shows_todays_option_alone() -> None:
    answer = CliRunner().invoke(app, ["export", "--help"], env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})
    assert "--hyperparameter" in answer.output
    assert "--set" not in answer.output


@pytest.mark.parametrize("argument", [pytest.param("hyperparameters", marks=pytest.mark.deep), "settings"])
def test_both_arguments_of_export_classifier_are_read(tmp_path: Path, argument: str) -> None:
    options = {argument: {"momentum": 0.75}}
    done = export_classifier(nn.Linear(3, 2), input="float32:3", classes=2, out=tmp_path / "bundle", **options)  # type: ignore[arg-type]
    assert defaults(tmp_path)["momentum"] == 0.75
    assert done.verdicts == done.results


def test_both_arguments_at_once_are_refused_by_name(tmp_path: Path) -> None:
    options = {"hyperparameters": {"lr": 0.1}, "settings": {"lr": 0.1}}
    with pytest.raises(InvalidInput, match="both hyperparameters and settings"):
        export_classifier(nn.Linear(3, 2), input="float32:3", classes=2, out=tmp_path / "bundle", **options)  # type: ignore[arg-type]
    assert not (tmp_path / "bundle").exists()


@pytest.mark.deep
def test_former_dotted_names_of_models_and_losses_work_with_a_note(tmp_path: Path) -> None:
    former = ["export.models:small_cnn", "--loss", "export.losses:balanced_softmax"]
    arguments = [*former, "--input", "uint8:1x8x8", "--classes", "10", "--out", f"{tmp_path}/bundle"]
    answer = CliRunner().invoke(app, ["export", *arguments])
    assert answer.exit_code == 0, answer.output
    for name in ("models", "losses"):
        assert f"note: export.{name} is now called fedrela.export.{name}; write that\n" in answer.stderr
    manifest = bundle.read(tmp_path / "bundle").manifest
    assert (manifest.name, manifest.loss) == ("models", "balanced_softmax")
    assert manifest.train_step.role("class_prior")
