"""Every lower bound of the exporter is installed, and every verb of its runs on it: make test-lowest (1.5 GB)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging import lower_bounds
from tests.packaging.lower_bounds import Verbs

SOURCE_ALONE = "antlr4-python3-runtime"  # which ExecuTorch's needs need; it is Python
MODEL = """\
from torch import nn


def build():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 6, 3))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of an environment with the oldest packages of the exporter."""
    return lower_bounds.install(tmp_path_factory.mktemp("oldest") / "environment", "export", built=SOURCE_ALONE)


@pytest.fixture
def verbs(python: Path, tmp_path: Path) -> Iterator[Verbs]:
    """What runs verbs on them, in a folder with a model."""
    (tmp_path / "net.py").write_text(MODEL)
    running = Verbs(python, tmp_path)
    yield running
    running.close()


@pytest.mark.lowest
def test_every_verb_of_the_exporter_does_what_it_is_for_on_its_oldest_packages(
    python: Path, tmp_path: Path, verbs: Verbs
) -> None:
    assert lower_bounds.installed(python, "export") == lower_bounds.requirements("export")
    verbs(
        *("export", "net.py:build", "--input", "uint8:1x8x8", "--classes", 3),
        *("--out", "bundle", "--runtime", "both"),
    )
    assert verbs.json("verify", "bundle")
    assert verbs.json("inspect", "bundle")
    assert verbs.json("audit", "bundle", "--model", "net.py:build")
    verbs("seal", "bundle")
    left_out = [words for words in lower_bounds.verbs(python, tmp_path, "export") if not verbs.have_run(words)]
    assert not left_out
