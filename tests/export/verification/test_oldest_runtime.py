"""Programs on the oldest ONNX Runtime that they promise to run on, in an environment of its own, as a device runs them.

pip fetches that runtime as it fetches the product's other packages.
"""

import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest
import torch

from fedrela.core.golden import relative_error
from fedrela.export import export_classifier
from fedrela.export.onnx_programs.program import MIN_RUNTIME_VERSION
from fedrela.export.verification.equality import TOLERANCE
from tests.export.verification.reference_models import MODELS

ROOT = Path(__file__).parents[3]
# What a device's engine imports; numpy 1, for which a runtime of that age was built.
PACKAGES = (f"onnxruntime=={MIN_RUNTIME_VERSION}", "numpy<2", "cryptography", "psutil", "safetensors")


@pytest.fixture(scope="module")
def oldest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The python of an environment with the oldest runtime."""
    folder = tmp_path_factory.mktemp("oldest")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", *PACKAGES]
    subprocess.run(install, check=True)
    return python


@pytest.mark.parametrize("name", ["Small CNN", "LSTM over tokens", "Vision transformer (small)"])
def test_the_oldest_runtime_trains_as_today_s(name: str, oldest: Path, tmp_path: Path) -> None:
    export(name, tmp_path)
    old, new = (run(Path(python), tmp_path) for python in (oldest, sys.executable))
    assert str(old.pop("version")) == MIN_RUNTIME_VERSION != str(new.pop("version"))
    assert old.keys() == new.keys()
    assert max(relative_error(new[key], old[key]) for key in new) <= TOLERANCE


def test_the_oldest_runtime_passes_the_self_test_of_a_deep_net(oldest: Path, tmp_path: Path) -> None:
    # Depthwise, BatchNorm, ReLU6. What it makes of data that nobody chose, rounding decides at some kink.
    export("MobileNetV2 (small)", tmp_path)
    assert str(run(oldest, tmp_path)["version"]) == MIN_RUNTIME_VERSION


def export(name: str, folder: Path) -> None:
    """The narrow form of a reference model, as a bundle."""
    torch.manual_seed(0)
    row = MODELS[name]
    export_classifier(row.build(), input=row.input, classes=row.classes, out=folder / "bundle")


def run(python: Path, folder: Path) -> dict[str, np.ndarray]:
    """What `tests.export.verification.device_run` finds in that environment."""
    result = folder / "result.npz"
    command = [str(python), "-m", "tests.export.verification.device_run", str(folder / "bundle"), str(result)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(np.load(result))
