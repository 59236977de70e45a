"""Programs on the oldest ONNX Runtime that we promise, in an environment of its own, as on a device."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fedrela.core.golden import relative_error
from fedrela.export import export_classifier
from fedrela.export.bundling import Exported
from fedrela.export.layers import around, catalog
from fedrela.export.verification.equality import TOLERANCE
from tests.edge.sandbox.test_seal import program_with_external_data
from tests.packaging import lower_bounds

ROOT = Path(__file__).parents[3]
(OLDEST,) = (
    requirement.removeprefix("onnxruntime==")
    for requirement in lower_bounds.requirements("edge")
    if requirement.startswith("onnxruntime")
)


@pytest.mark.parametrize(
    "name", ["Small CNN", "LSTM over tokens", pytest.param("Vision transformer (small)", marks=pytest.mark.deep)]
)
def test_the_oldest_runtime_trains_as_today_s(
    name: str, reference_bundle: Callable[[str, str], Exported], oldest_packages: Path, tmp_path: Path
) -> None:
    check_trains_alike(reference_bundle(name, "onnx").folder, oldest_packages, tmp_path)


@pytest.mark.deep
def test_the_oldest_runtime_trains_a_transformer_s_layer_as_today_s(oldest_packages: Path, tmp_path: Path) -> None:
    (layer,) = (case for case in catalog.CASES if case.name == "TransformerEncoderLayer")
    done = export_classifier(layer.build(), input=layer.input, classes=around.CLASSES, out=tmp_path / "bundle")
    check_trains_alike(done.folder, oldest_packages, tmp_path)


@pytest.mark.deep
def test_the_oldest_runtime_passes_the_self_test_of_a_deep_net(
    reference_bundle: Callable[[str, str], Exported], oldest_packages: Path, tmp_path: Path
) -> None:
    # Depthwise, BatchNorm, ReLU6. What it makes of data that nobody chose, rounding decides at some kink.
    folder = reference_bundle("MobileNetV2 (small)", "onnx").folder
    assert str(run(oldest_packages, folder, tmp_path)["version"]) == OLDEST


@pytest.mark.parametrize("location", ["../theirs", "/theirs", "*/_ORT_MEM_ADDR_/*"])
def test_the_oldest_runtime_reads_no_data_outside_of_its_folder(
    location: str, oldest_packages: Path, tmp_path: Path
) -> None:
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
    command = [str(oldest_packages), "-c", script]
    done = subprocess.run(command, cwd=tmp_path / "inside", capture_output=True, text=True, check=True)
    assert done.stdout == "Fail\n"


def check_trains_alike(bundle: Path, oldest_packages: Path, tmp_path: Path) -> None:
    """The oldest runtime makes of a bundle what this environment's does."""
    old, new = (run(python, bundle, tmp_path) for python in (oldest_packages, Path(sys.executable)))
    assert str(old.pop("version")) == OLDEST != str(new.pop("version"))
    assert old.keys() == new.keys()
    assert max(relative_error(new[key], old[key]) for key in new) <= TOLERANCE


def run(python: Path, bundle: Path, tmp_path: Path) -> dict[str, np.ndarray]:
    """What `tests.export.verification.device_run` finds in that environment."""
    result = tmp_path / "result.npz"
    command = [str(python), "-m", "tests.export.verification.device_run", str(bundle), str(result)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(np.load(result))
