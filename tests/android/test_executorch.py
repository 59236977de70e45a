"""A Kotlin device on ExecuTorch ends a round with a real coordinator, and its update is the Python device's."""

import subprocess
import sys
import tomllib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from fedrela.conformance.files import VECTORS
from fedrela.conformance.rounds.model_cases import read_data
from fedrela.conformance.rounds.round_cases import programs, run
from fedrela.core import bundle, tensors
from fedrela.core.task import LocalTraining, Relabel, Rounds, Task
from fedrela.edge.engines.executorch_engine import ExecutorchEngine
from fedrela.edge.training.local_round import LocalRound
from tests.android.device import words
from tests.edge.live import coordinator
from tests.web.same_update import check_same_update

pytestmark = pytest.mark.android

ROOT = Path(__file__).parents[2]
SERVER = Path(__file__).with_name("pte_server.py")
MODEL = VECTORS / "models" / "batch-norm"
SECRET = bytes(range(32))
TASK = Task(
    "executorch",
    2,
    local=LocalTraining(epochs=2, batch_size=16, hyperparameters={"lr": 0.01, "adam_epsilon": 1e-3}),
    relabel=Relabel(enabled=False),
    round=Rounds(goal=1, smallest_cohort=1, retry_after_seconds=0.05),
)
TASKS = {"plain": TASK, "re-labels": replace(TASK, relabel=Relabel(start=1, threshold_percent=30.0, passes=2))}


def once(link: str, state: Path) -> str:
    """What the client says of one assignment."""
    device = {"link": link, "state": state, "data": MODEL / "data.safetensors", "secret": SECRET.hex()}
    command = words("once", **device, runtime="executorch", python=sys.executable, server=SERVER)
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("name", TASKS)
def test_an_update_is_the_python_device_s(name: str, tmp_path: Path) -> None:
    opened, state = bundle.read(MODEL / "bundle"), tmp_path / "state"
    with coordinator(tmp_path / "coordinator") as live:
        live.publish(opened, TASKS[name])
        assert once(live.link(), state) == "uploaded 1"
    sent = tensors.read((state / "last" / "update").read_bytes())
    engine = ExecutorchEngine(opened.manifest, programs(opened.folder, opened.manifest, "executorch"))
    examples = read_data((MODEL / "data.safetensors").read_bytes())
    labels, want = run(engine, LocalRound(TASKS[name], 1, SECRET), opened.weights, examples)
    assert (labels != examples.y).any() == TASKS[name].relabel.enabled
    check_same_update(opened.weights, want, sent)
    assert not list((tmp_path / "state-programs").iterdir())


def test_a_batch_that_is_too_large_drops_the_assignment(tmp_path: Path) -> None:
    task = replace(TASK, local=LocalTraining(epochs=1, batch_size=17))
    with coordinator(tmp_path / "coordinator") as live:
        live.publish(bundle.read(MODEL / "bundle"), task)
        said = once(live.link(), tmp_path / "state")
    assert said.startswith("dropped training-failed: a batch of 17 examples")


def test_the_library_holds_nothing_of_executorch() -> None:
    (library,) = (ROOT / "android/executorch/target").glob("fedrela-executorch-*.jar")
    with zipfile.ZipFile(library) as opened:
        files = {name for name in opened.namelist() if not name.endswith("/")}
        rules = opened.read("META-INF/proguard/fedrela-executorch.pro").decode()
    assert {name.rsplit("/", 1)[0] for name in files if name.endswith(".class")} == {"org/fedrela/executorch"}
    assert "-keep class org.pytorch.executorch.**" in rules


def test_one_version_is_named_everywhere() -> None:
    catalog = tomllib.loads((ROOT / "android/gradle/libs.versions.toml").read_text())
    version = catalog["versions"]["executorch"]
    runtime = ROOT / "android/executorch/src/main/kotlin/org/fedrela/executorch/ExecutorchRuntime.kt"
    assert f'WRITTEN_FOR: String = "{version}"' in runtime.read_text()
    assert f"org.pytorch:executorch-android:{version}" in (ROOT / "docs/android.md").read_text()
    declarations = list((ROOT / "android/executorch/src/declarations/java").rglob("*.java"))
    assert len(declarations) == 4
    for path in declarations:
        assert f"// Unverified: of executorch-android {version} " in path.read_text(), path
