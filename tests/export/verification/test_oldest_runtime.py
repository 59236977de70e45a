"""Programs on the oldest ONNX Runtime that the package is installed with, in an environment of its own, as on a device.

pip fetches that runtime as it fetches the product's other packages.
"""

import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import numpy as np
import pytest
import torch

from fedrela.core.golden import relative_error
from fedrela.export import export_classifier
from fedrela.export.verification.equality import TOLERANCE
from tests.edge.sandbox.test_seal import program_with_external_data
from tests.export.verification.reference_models import MODELS

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
(OLDEST,) = (
    requirement.removeprefix("onnxruntime>=")
    for requirement in PROJECT["optional-dependencies"]["edge"]
    if requirement.startswith("onnxruntime")
)
# What a device's engine imports; numpy 1 is the oldest that we promise.
PACKAGES = (f"onnxruntime=={OLDEST}", "numpy<2", "cryptography", "psutil", "safetensors")


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
    assert str(old.pop("version")) == OLDEST != str(new.pop("version"))
    assert old.keys() == new.keys()
    assert max(relative_error(new[key], old[key]) for key in new) <= TOLERANCE


@pytest.mark.deep
def test_the_oldest_runtime_passes_the_self_test_of_a_deep_net(oldest: Path, tmp_path: Path) -> None:
    # Depthwise, BatchNorm, ReLU6. What it makes of data that nobody chose, rounding decides at some kink.
    export("MobileNetV2 (small)", tmp_path)
    assert str(run(oldest, tmp_path)["version"]) == OLDEST


@pytest.mark.parametrize("location", ["../theirs", "/theirs", "*/_ORT_MEM_ADDR_/*"])
def test_the_oldest_runtime_reads_no_data_outside_of_its_folder(location: str, oldest: Path, tmp_path: Path) -> None:
    """Older ones (1.23 is one) read any file that a program names, and any address. No device lets them come so far."""
    place = location if location != "/theirs" else str(tmp_path / "theirs")
    (tmp_path / "theirs").write_bytes(bytes(48))
    (tmp_path / "program").write_bytes(program_with_external_data(place))
    (tmp_path / "inside").mkdir()
    script = (
        "import onnxruntime\n"
        "try:\n    onnxruntime.InferenceSession(open('../program', 'rb').read())\n"
        "except Exception as error:\n    print(type(error).__name__)\n"
    )
    command = [str(oldest), "-c", script]
    done = subprocess.run(command, cwd=tmp_path / "inside", capture_output=True, text=True, check=True)
    assert done.stdout == "Fail\n"


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
