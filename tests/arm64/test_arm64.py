"""A 64-bit Arm device: the real wheels in a Debian 12 userland, emulated, against a coordinator on the host.

It runs wherever Debian's packages and aarch64 wheels can be downloaded, or have been before, and says why where it is
left out. FEDRELA_TEST_ARM64=0 leaves it out; `make test-arm64` runs it alone and prints the differences.
"""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from fedrela.conformance.files import PUBLISHER_KEY
from fedrela.core import tensors
from fedrela.core.bundle import Bundle
from fedrela.core.bundle import read as read_bundle
from fedrela.core.task import LocalTraining, Relabel, Rounds, Task
from fedrela.edge.engines.pool import EnginePool
from fedrela.edge.storage.store import FolderStore, MemoryStore
from fedrela.edge.training.examples import Examples
from tests.arm64 import userland
from tests.arm64.userland import Userland
from tests.edge.live import coordinator, device

pytestmark = pytest.mark.arm64
TASK = Task(
    "arm64",
    rounds=1,
    local=LocalTraining(epochs=1, batch_size=8, max_steps=12),
    relabel=Relabel(start=1, threshold_percent=20.0, passes=1),
    round=Rounds(goal=1, smallest_cohort=1, deadline_seconds=2000, compute_lease_seconds=2000),
)


@pytest.fixture(scope="module")
def debian() -> Userland:
    if os.environ.get("FEDRELA_TEST_ARM64") == "0":
        pytest.skip("LEFT OUT: arm64 was not tested: FEDRELA_TEST_ARM64=0 asks for that")
    try:
        return userland.build()
    except userland.LeftOut as reason:
        pytest.skip(f"LEFT OUT: arm64 was not tested: {reason}")


@pytest.fixture(scope="module")
def cnn(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    from fedrela.export.classifier import export_classifier
    from fedrela.export.models import small_cnn

    folder = tmp_path_factory.mktemp("cnn") / "bundle"
    export_classifier(
        small_cnn(), input="uint8:1x8x8", classes=10, out=folder, augment="crop,flip", private_key=PUBLISHER_KEY
    )
    return read_bundle(folder)


def run(debian: Userland, folder: Path, *words: str) -> str:
    """`fedrela words...` on the emulated device."""
    done = subprocess.run(
        debian.command("-m", "fedrela", *words), cwd=folder, env=debian.environment(), capture_output=True, text=True,
        timeout=1000, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_an_arm_device_enrolls_relabels_trains_and_uploads(debian: Userland, cnn: Bundle, tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    rows = np.concatenate([np.arange(1797)[digits.target == label][: 60 // (label + 1)] for label in range(10)])
    x, y = (digits.images[rows] * 15.9).astype(np.uint8)[:, None], digits.target[rows].astype(np.int64)
    np.savez(tmp_path / "data.npz", x=x, y=y)
    with coordinator(tmp_path / "coordinator") as live:
        run(debian, tmp_path, "device", "enroll", live.link(), "--state", "state")
        task_id = live.publish(cnn, TASK)
        printed = run(debian, tmp_path, "device", "run", "--once", "--json", "--data", "data.npz", "--state", "state")
        events = [json.loads(line) for line in printed.splitlines()]
        assert [event["outcome"] for event in events if "outcome" in event] == ["uploaded"]
        assert {"relabeled", "trained"} <= {event.get("event") for event in events}
        live.wait(lambda: live.committed(task_id) == 1)

        arm = FolderStore(tmp_path / "state")
        identity = json.loads(arm.get("identity.json") or b"")
        here = MemoryStore()
        client = device(live, 1, Examples({"x": x}, y), store=here, pool=EnginePool())
        object.__setattr__(client.identity, "secret", identity["secret"])
        live.publish(cnn, TASK)
        assert client.run_once().kind == "uploaded"
    theirs, ours = tensors.read(arm.get("last/update") or b""), tensors.read(here.get("last/update") or b"")
    assert set(theirs) == set(ours)
    for name, array in ours.items():
        error = np.linalg.norm(theirs[name] - array) / np.linalg.norm(array)
        print(f"{name:20} relative difference {error:.1e}")
        assert error <= 1e-4
