"""The installed wheel at work in a user's folder that is against us: it holds packages of our folders' names.

Each of those says that it was imported, and fails. Everything runs as a user runs it: console scripts, real HTTP.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import fedrela
from tests.packaging.user_folder import OTHERS, OURS, is_ready, run, running, set_traps, sprung, wait_until
from tests.ports import free_port

MODEL = """\
import torch


def build():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))
"""
EXPORT = ("my_model:build", "--input", "uint8:1x4x4", "--classes", "3", "--runtime", "onnx", "--out", "bundle")
TASK = """\
name = "small"
rounds = 2
[local]
batch_size = 20
hyperparameters = { lr = 0.05 }
[relabel]
start = 2
[round]
goal = 1
[privacy]
secure = "none"
"""
FLEET = """\
name = "small-fleet"
devices = 2
[data]
dataset = "small.npz"
imbalance = 2
test_per_class = 5
alpha = 1.0
[task]
name = "fleet-task"
rounds = 1
[task.local]
batch_size = 20
hyperparameters = { lr = 0.05 }
[task.relabel]
enabled = false
[task.round]
goal = 2
[task.privacy]
secure = "none"
"""
ENTRY_POINTS = """\
import json
from importlib import metadata

import fedrela

points = [*metadata.entry_points(group="console_scripts", name="fedrela"),
          *metadata.entry_points(group="pytest11", name="fedrela")]
home = metadata.distribution("fedrela").locate_file("")
described = [[point.value, str(point.dist.locate_file(""))] for point in points if point.load()]
print(json.dumps([metadata.version("fedrela"), str(home), fedrela.__file__, described]))
"""
TEST = """\
import pytest


@pytest.mark.scenario("fleet.toml")
def test_my_model_on_a_fleet(fleet):
    run = fleet(bundle="bundle")
    run.assert_no_failures()
    assert len(run.rounds) == 2
"""


@pytest.fixture(scope="module")
def bundle(made_once: Callable[..., Path], installed: Path) -> Path:
    """Made by the console script, in a folder that is against it."""

    def make(folder: Path) -> Path:
        folder.mkdir()
        set_traps(folder, OURS + OTHERS)
        (folder / "my_model.py").write_text(MODEL)
        run(folder, installed / "fedrela", "export", *EXPORT)
        assert not sprung(folder)
        return folder / "bundle"

    return made_once("exported by the wheel", make)


@pytest.fixture
def folder(tmp_path: Path, bundle: Path) -> Iterator[Path]:
    """A user's folder; whatever a test did there, none of the traps was sprung."""
    set_traps(tmp_path, OURS)
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3), 20)
    x = rng.integers(0, 120, (60, 1, 4, 4), dtype=np.uint8)
    x[np.arange(60), 0, y, :] += 100
    np.savez(tmp_path / "small.npz", x=x, y=y)
    for name, text in (("task.toml", TASK), ("fleet.toml", FLEET), ("test_fleet.py", TEST), ("my_model.py", MODEL)):
        (tmp_path / name).write_text(text)
    (tmp_path / "bundle").symlink_to(bundle)
    yield tmp_path
    assert not sprung(tmp_path)


def test_version_and_entry_points_are_the_wheels_own(folder: Path, installed: Path) -> None:
    assert run(folder, installed / "fedrela", "--version") == f"fedrela {fedrela.__version__}\n"
    version, home, package, points = json.loads(run(folder, installed / "python", "-P", "-c", ENTRY_POINTS))
    (own,) = installed.parent.glob("lib/python*/site-packages")
    assert version == fedrela.__version__
    assert Path(home) == own
    assert Path(package) == own / "fedrela" / "__init__.py"
    modules = ("fedrela.cli:main", "fedrela.emulator.pytest_plugin")
    assert points == [[module, str(own)] for module in modules]


def test_the_plugin_gives_a_fleet_to_the_users_test(folder: Path, installed: Path) -> None:
    said = run(folder, installed / "pytest", "-q", "-p", "no:cacheprovider", "test_fleet.py")
    assert "1 passed" in said


def test_two_workers_of_uvicorn_serve_a_device_until_its_task_is_finished(folder: Path, installed: Path) -> None:
    port = free_port()
    url, key = f"http://127.0.0.1:{port}", "k" * 32
    operator = {"FEDRELA_URL": url, "FEDRELA_ADMIN_KEY": key}
    secrets = {"FEDRELA_DEV": "1", "FEDRELA_ADMIN_KEY": key, "FEDRELA_SIGNING_KEY": "07" * 32}
    program = installed / "fedrela"

    def finished() -> bool:
        (task,) = json.loads(run(folder, program, "task", "list", "--json", **operator))
        return bool(task["status"] == "finished" and task["committed_rounds"] == 2)

    serve = (installed / "uvicorn", "fedrela.coordinator.app:app", "--port", port, "--workers", 2)
    with running(folder, *serve, **secrets) as server:
        wait_until(lambda: is_ready(url), folder, server)
        run(folder, program, "publish", "bundle", "task.toml", **operator)
        token = json.loads(run(folder, program, "token", "create", "--json", **operator))
        run(folder, program, "device", "enroll", token["link"])
        with running(folder, program, "device", "run", "--data", "small.npz") as device:
            wait_until(finished, folder, server, device)
        assert device.returncode == 0, (folder / "log").read_text()


def test_worker_processes_import_nothing_of_the_callers_folder(folder: Path, installed: Path) -> None:
    set_traps(folder, OTHERS)
    emulate = ("emulate", "fleet.toml", "--bundle", "bundle", "--workers", 2, "--quiet")
    run(folder, installed / "fedrela", *emulate, "--out", "by-script")
    run(folder, installed / "python", "-m", "fedrela", *emulate, "--out", "by-module")
    ends = [json.loads((folder / name / "summary.json").read_text()) for name in ("by-script", "by-module")]
    assert ends[0]["final_sha256"] == ends[1]["final_sha256"]


def test_workers_of_ray_import_nothing_of_the_callers_folder(folder: Path, installed: Path) -> None:
    set_traps(folder, OTHERS)
    emulate = ("emulate", "fleet.toml", "--bundle", "bundle", "--workers", 2, "--quiet", "--engine", "ray")
    run(folder, installed / "fedrela", *emulate, "--out", "by-ray")


def test_served_with_two_workers_of_our_own_verb(folder: Path, installed: Path) -> None:
    set_traps(folder, OTHERS)
    port = free_port()
    serve = ("serve", "--dev", "--port", port, "--workers", 2, "--data", "data")
    with running(folder, installed / "fedrela", *serve) as server:
        wait_until(lambda: is_ready(f"http://127.0.0.1:{port}"), folder, server)


def test_a_module_that_the_user_names_is_found_behind_everything_else(folder: Path, installed: Path) -> None:
    set_traps(folder, OTHERS)
    run(folder, installed / "python", "-m", "fedrela", "export", *EXPORT[:-1], "by-module")
    assert (folder / "by-module" / "seal.json").is_file()
