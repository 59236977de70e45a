"""A second thread, for what leaves Python: a training step runs there while other devices are served here.

Only one of a process's threads runs Python at a time, so nothing is gained by giving it anything else.

    with BackgroundThread() as background:
        background.begin(run, ended)      # ended(None), or what `run` raised, is called while `collect` runs
        while background.under_way: background.collect(wait=True)
"""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeAlias

Ended: TypeAlias = Callable[[BaseException | None], None]

# Python lets a thread that comes back from outside it wait for so long, and the next step with it; usually it is 5 ms.
_SWITCH_SECONDS = 0.0001


def worthwhile() -> bool:
    """Has this process a second core to run on?"""
    return (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1) > 1


class BackgroundThread:
    """The thread lives as long as the context is open. All methods are for the thread that opened it."""

    def __init__(self) -> None:
        self.under_way = 0  # begun, and not yet handed over by `collect`
        self._begun: SimpleQueue[tuple[Callable[[], Any], Ended] | None] = SimpleQueue()
        self._over: SimpleQueue[tuple[Ended, BaseException | None]] = SimpleQueue()
        self._thread = Thread(target=self._run, name="fedrela-background", daemon=True)

    def __enter__(self) -> "BackgroundThread":
        self._interval = sys.getswitchinterval()
        sys.setswitchinterval(min(self._interval, _SWITCH_SECONDS))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        while not self._begun.empty():  # what nobody waits for any more
            with suppress(Empty):
                self._begun.get_nowait()
        self._begun.put(None)
        self._thread.join()
        sys.setswitchinterval(self._interval)

    def begin(self, work: Callable[[], Any], ended: Ended) -> None:
        """Do `work` there, after what was begun before."""
        self.under_way += 1
        self._begun.put((work, ended))

    def collect(self, *, wait: bool) -> None:
        """Say what has ended since; with `wait`, at least one of those under way has."""
        while self.under_way and (wait or not self._over.empty()):
            ended, error = self._over.get()
            self.under_way -= 1
            wait = False
            ended(error)

    def _run(self) -> None:
        while begun := self._begun.get():
            work, ended = begun
            error: BaseException | None = None
            try:
                work()
            except BaseException as raised:  # whoever waits for it is to raise it
                error = raised
            self._over.put((ended, error))
