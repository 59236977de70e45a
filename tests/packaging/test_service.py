"""The installed command as a service, from an environment inside a home, under the rules of the unit that it writes."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fedrela.core.bundle import Bundle
from fedrela.core.task import Relabel, Rounds
from tests.edge import softmax_bundle
from tests.edge.conftest import some_examples
from tests.edge.live import LiveCoordinator, coordinator, small_task
from tests.packaging import distributions

ROOT = Path(__file__).parents[2]
LOOK = """\
import json, os, pathlib
home = pathlib.Path(os.environ["HOME"])
def can_write(place):
    try:
        (place / "written").touch()
        (place / "written").unlink()
    except OSError as error:
        return error.strerror
    return "yes"
def inside(place):
    return sorted(str(path.relative_to(place)) for path in place.iterdir())
print(json.dumps({
    "home": inside(home),
    "here": inside(pathlib.Path.cwd()),
    "roots": {place: inside(pathlib.Path(place)) for place in ("/root", "/run/user")},
    "writable": {name: can_write(home / name) for name in (".", "photos", "venv", ".local/state/fedrela")},
    "groups": {place: can_write(pathlib.Path(place)) for place in ("/etc", "/usr", "/var")},
}))
"""


def namespace() -> list[str]:
    """How to get mounts of one's own: as root, else as root of a user namespace."""
    return ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]


@pytest.fixture
def home(tmp_path: Path, wheel: Path) -> Path:
    """A home with an environment, photos, and what is nobody's business."""
    place = tmp_path / "home" / "pi"
    for folder in (".ssh", "photos", "letters"):
        (place / folder).mkdir(parents=True)
    (place / ".ssh" / "id_ed25519").write_text("a key")
    (place / "letters" / "one.txt").write_text("a letter")
    examples = some_examples(40)
    np.savez(place / "photos" / "data.npz", x=examples.x["x"], y=examples.y)
    (place / "device.toml").write_text("require_sandbox = true\n")
    distributions.install(wheel, place / "venv", scripts=())
    return place


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LiveCoordinator]:
    with coordinator(tmp_path / "coordinator") as running:
        yield running


def fedrela(home: Path, *words: str) -> str:
    """The installed command, as its user types it."""
    environment = distributions.environment(HOME=str(home))
    command = [str(home / "venv/bin/fedrela"), "device", *words]
    done = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def under_the_rules(unit: Path, home: Path, *words: str) -> str:
    command = [*namespace(), sys.executable, "-m", "tests.packaging.unit_rules", str(unit), *words]
    environment = os.environ | {"HOME": str(home)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_service_trains_and_sees_nothing_of_the_home(home: Path, live: LiveCoordinator, tmp_path: Path) -> None:
    if not all(map(shutil.which, ("systemd-analyze", "unshare"))):
        pytest.skip("LEFT OUT: the unit's rules were not tried: systemd-analyze or unshare is missing")
    if subprocess.run([*namespace(), "true"], check=False, capture_output=True).returncode:
        pytest.skip("LEFT OUT: the unit's rules were not tried: this system makes no mount namespace for us")
    small: Bundle = softmax_bundle.write(tmp_path / "bundle")
    live.publish(small, small_task(rounds=1, relabel=Relabel(start=1), round=Rounds(goal=1, smallest_cohort=1)))
    fedrela(home, "enroll", live.link())
    words = ("install-service", "--data", "photos/data.npz", "--settings", "device.toml", "--print")
    unit = tmp_path / "fedrela-device.service"
    unit.write_text(fedrela(home, *words))

    seen = json.loads(under_the_rules(unit, home, "--instead", str(home / "venv/bin/python"), "-c", LOOK))
    assert seen["home"] == [".local", "device.toml", "photos", "venv"]
    assert set(seen["here"]) <= {tmp_path.parts[2]}  # on the way to this test's home, which lies in /tmp itself
    assert not any(seen["roots"].values()) or sys.base_prefix.startswith(("/root", "/run/user"))
    written = {name for name, result in seen["writable"].items() if result == "yes"}
    assert written == {".local/state/fedrela"}
    assert "yes" not in seen["groups"].values()

    events = [json.loads(line) for line in under_the_rules(unit, home, "--once", "--json").splitlines()]
    assert events[0]["detail"].startswith("seccomp")
    assert events[-1]["outcome"] == "uploaded"
    assert (home / ".local/state/fedrela/last/update").is_file()
