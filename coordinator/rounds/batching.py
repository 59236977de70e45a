"""Calls that arrive while others are at work are done together: one transaction and one sync to disk for all of them.

Alone, a call waits for nobody; the busier the coordinator, the larger the batches, so work per call falls as load rises
(DeWitt et al., "Implementation techniques for main memory database systems", SIGMOD 1984: group commit).

    >>> doubled = Batches("doubled", lambda numbers: [2 * number for number in numbers])
    >>> async def both() -> list[int]:
    ...     return await asyncio.gather(doubled(1), doubled(2))
    >>> asyncio.run(both())
    [2, 4]
    >>> doubled.stop()
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from fedrela.core.errors import Unavailable

T = TypeVar("T")
R = TypeVar("R")
LARGEST = 64  # calls in one batch: bounds how long a transaction holds its locks


@dataclass(frozen=True)
class _Call(Generic[T, R]):
    argument: T
    loop: asyncio.AbstractEventLoop
    answer: "asyncio.Future[R]"


class Batches(Generic[T, R]):
    """Owns a thread that does `work` on everything that waits. `work` gives an answer or an error per argument.

    Without a thread the event loop does it, once it has taken up every request that is there.
    """

    def __init__(self, name: str, work: Callable[[list[T]], Sequence[R | Exception]], *, threaded: bool = True) -> None:
        self._work = work
        self._waiting: queue.SimpleQueue[_Call[T, R] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True) if threaded else None
        if self._thread:
            self._thread.start()

    async def __call__(self, argument: T) -> R:
        """The answer for one argument. Raises the error that `work` gave for it, or raised for its whole batch."""
        loop = asyncio.get_running_loop()
        call: _Call[T, R] = _Call(argument, loop, loop.create_future())
        if self._thread is None and self._waiting.empty():
            loop.call_soon(self._run_here)
        self._waiting.put(call)
        return await call.answer

    def stop(self) -> None:
        """Finish what waits, and end."""
        if self._thread:
            self._waiting.put(None)
            self._thread.join()

    def _run(self) -> None:
        while batch := self._next():
            answers = self._answers([call.argument for call in batch])
            batch[0].loop.call_soon_threadsafe(_deliver, batch, answers)

    def _run_here(self) -> None:
        """Everything that waits, on the event loop."""
        while not self._waiting.empty():
            batch = self._next()
            _deliver(batch, self._answers([call.argument for call in batch]))

    def _next(self) -> list[_Call[T, R]]:
        """Everything that waits now, at least one call; empty at the end."""
        batch: list[_Call[T, R]] = []
        call = self._waiting.get()
        while call is not None:
            batch.append(call)
            if len(batch) == LARGEST:
                return batch
            try:
                call = self._waiting.get_nowait()
            except queue.Empty:
                return batch
        if batch:
            self._waiting.put(None)  # stop once this last batch is done
        return batch

    def _answers(self, arguments: list[T]) -> "list[R | Exception]":
        try:
            return list(self._work(arguments))
        except Exception as error:
            if len(arguments) == 1 or isinstance(error, Unavailable):
                return [error] * len(arguments)
        # One of them is at fault: each alone, so that it fails alone. What was done already is answered again.
        return [answer for argument in arguments for answer in self._answers([argument])]


def _deliver(batch: "list[_Call[T, R]]", answers: "list[R | Exception]") -> None:
    for call, answer in zip(batch, answers, strict=True):
        if call.answer.done():
            continue  # its request was cancelled
        if isinstance(answer, Exception):
            call.answer.set_exception(answer)
        else:
            call.answer.set_result(answer)
