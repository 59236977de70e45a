"""Groups of cells in worker processes, several at a time. Workers train; only this process hears of it and writes.

A worker that finds its study gone, even by kill -9, ends itself, so a study that is started again never competes with
the workers of the one before.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from fedrela.core import interpreter
from fedrela.core.errors import FedRelaError
from fedrela.study.data.datasets import opened
from fedrela.study.data.prepared import Prepared
from fedrela.study.runs import groups
from fedrela.study.runs.setups import CellObserver, Group, Workspace


class WorkerFailed(FedRelaError):
    """A worker process stopped; what was finished is kept."""


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection = field(repr=False)


def run(
    todo: Sequence[Group], prepared: Prepared, workspace: Workspace, command: str, observer: CellObserver, jobs: int
) -> None:
    """Run every group in one of `jobs` processes. Raises WorkerFailed, after the other workers are stopped."""
    waiting = list(reversed(todo))
    workers = [_start(prepared, workspace, command) for _ in range(jobs)]
    try:
        busy = {worker.pipe: worker for worker in workers}
        for worker in workers:
            worker.pipe.send(waiting.pop())
        while busy:
            for pipe in wait(list(busy)):
                assert isinstance(pipe, Connection)
                kind, content = _receive(busy[pipe])
                if kind == "advance":
                    observer.advance(*content)
                elif kind == "finished":
                    observer.finished(content)
                elif waiting:
                    pipe.send(waiting.pop())
                else:
                    del busy[pipe]
    finally:
        for worker in workers:
            worker.process.kill()
            worker.process.join()
            worker.pipe.close()


def _receive(worker: _Worker) -> tuple[str, Any]:
    try:
        kind, content = worker.pipe.recv()
    except EOFError:
        worker.process.join()
        raise WorkerFailed(
            f"a worker ended with status {worker.process.exitcode}",
            remedy="see above for the reason; started again, the study goes on; fewer --jobs need less memory",
        ) from None
    if kind == "failed":
        raise WorkerFailed(content[0], remedy=content[1])
    return kind, content


def _start(prepared: Prepared, workspace: Workspace, command: str) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    # The dataset stays out: a worker reads it from the prepared file, which is cheaper than sending it.
    arguments = (theirs, prepared.npz, prepared.sha256, workspace, command)
    process = context.Process(target=_work, args=arguments, daemon=True)
    with interpreter.safe_children():
        process.start()
    theirs.close()
    return _Worker(process, ours)


@dataclass(frozen=True)
class _PipeObserver:
    """Sends what a worker observes to the study."""

    pipe: Connection

    def advance(self, label: str, rounds: int, before: bool = False) -> None:
        self.pipe.send(("advance", (label, rounds, before)))

    def finished(self, row: dict[str, Any]) -> None:
        self.pipe.send(("finished", row))


def _work(pipe: Connection, npz: Path, sha256: str, workspace: Workspace, command: str) -> None:
    """A worker's life: one group after the other, until the study ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the study, which ends its workers
    threading.Thread(target=_end_with_the_study, daemon=True).start()
    prepared = opened(npz, sha256)
    while True:
        group = pipe.recv()
        try:
            groups.run(group, prepared, workspace, command, _PipeObserver(pipe))
        except FedRelaError as error:
            pipe.send(("failed", (error.problem, error.remedy)))
            return
        pipe.send(("done", None))


def _end_with_the_study() -> None:
    study = multiprocessing.parent_process()
    assert study is not None
    study.join()
    os._exit(1)
