"""Worker processes that end by themselves are noticed, whenever it happens."""

import multiprocessing.spawn
import os

import pytest

from fedrela.core.errors import Unavailable
from fedrela.emulator.workers.workers import Processes


class Dying:
    """What devices share, more than a pipe holds at once; making it ends the process."""

    def __init__(self):
        self.blob = bytes(2_000_000)

    def __call__(self, run_native):
        os._exit(3)


def test_a_worker_that_dies_while_python_starts_is_noticed(monkeypatch):
    monkeypatch.setattr(multiprocessing.spawn, "_python_exe", b"/bin/false")
    with pytest.raises(Unavailable, match="a worker process ended by itself"):
        Processes(2, Dying())


def test_a_worker_that_dies_while_it_makes_its_world_is_noticed():
    with Processes(1, Dying()) as workers, pytest.raises(Unavailable, match="a worker process ended by itself"):
        workers.receive()
