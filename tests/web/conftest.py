"""Browser tests: a coordinator process, a recording proxy, Chromium. They say what is missing where they can't run."""

import fcntl
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from fedrela.conformance.files import PUBLISHER_KEY
from fedrela.coordinator.pages.join_page import PAGE
from fedrela.core.task import Task
from fedrela.export import export_classifier
from tests.web import browser as driver
from tests.web.browser import Browser, Recorder, Tab
from tests.web.phone import TASK, Phone
from tests.web.place import Place


@pytest.fixture(scope="session")
def built_page() -> Path:
    """The page as `make web` builds it from the present sources."""
    if reason := driver.missing():
        pytest.skip(f"no browser test: {reason}")
    with (driver.WEB / "node_modules" / ".building").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a page half built by another worker of the test run would lack files
        return _built()


def _built() -> Path:
    sources = [path for name in ("src", "public") for path in (driver.WEB / name).rglob("*")]
    sources += [driver.WEB / name for name in ("index.html", "vite.config.ts", "package-lock.json")]
    built = PAGE / "files.json"
    if built.is_file() and built.stat().st_mtime > max(path.stat().st_mtime for path in sources):
        return PAGE
    done = subprocess.run(["npm", "run", "build"], cwd=driver.WEB, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return PAGE


@pytest.fixture(scope="session")
def smooth(made_once: Callable[..., Path]) -> Path:
    """A bundle for the demonstration shards whose network has no kinks.

    A phone draws its own secret, so its data come in another order in every run. Where an activation came within
    rounding of a kink (ReLU at 0, a tie in a pooling), the browser's runtime and Python's might take different sides
    and differ far more than they round, in about one round of a hundred. Here nothing hides behind that. Kinks are
    for `tests/web/node`, whose secrets are fixed.
    """
    return made_once("smooth", _smooth)


def _smooth(folder: Path) -> Path:
    folder.mkdir()
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.Tanh(), nn.AvgPool2d(2),
        nn.Conv2d(4, 8, 3, padding=1), nn.Tanh(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(32, 16), nn.Tanh(), nn.Linear(16, 10),
    )  # fmt: skip
    out = folder / "bundle"
    options = {"augment": "crop=1", "loss": "logit-adjustment", "proximal": True}
    export_classifier(
        net, input="uint8:1x8x8", classes=10, out=out, name="smooth-digits", private_key=PUBLISHER_KEY, **options
    )
    return out


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, built_page: Path, smooth: Path) -> Iterator[Place]:
    """A running coordinator."""
    folder = tmp_path_factory.mktemp("coordinator") / "data"
    folder.mkdir()
    place = Place(folder, smooth)
    place.start()
    yield place
    place.stop()


@pytest.fixture(scope="module")
def recorder(place: Place) -> Iterator[Recorder]:
    """What stands between the browser and the coordinator."""
    recorder = Recorder(place.host)
    yield recorder
    recorder.close()


@pytest.fixture(scope="module")
def browser(recorder: Recorder) -> Iterator[Browser]:
    """A Chromium behind the recorder."""
    browser = Browser(recorder.url)
    yield browser
    browser.quit()


@pytest.fixture
def new_phone(place: Place, recorder: Recorder, browser: Browser, request: pytest.FixtureRequest):
    """Makes phones, each with a running task."""
    tabs: list[Tab] = []

    def make(task: Task = TASK, **options: Any) -> Phone:
        recorder.reset()
        population = f"p{time.time_ns()}"
        task_id = place.publish(replace(task, population=population))
        tabs.append(Tab(browser, population, **options))
        return Phone(tabs[-1], place, recorder, population, task_id)

    yield make
    recorder.reset()
    for tab in tabs:
        tab.do("close")
