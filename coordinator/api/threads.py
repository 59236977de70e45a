"""Where the operations of requests run: in a few threads beside the event loop, or, with none, on the loop itself.

Threads keep a slow disk from stalling every other request. A coordinator whose event loop serves one program that waits
for it, such as an emulation in one process, is quicker without: nothing is handed from thread to thread.

Blobs are read and written in threads of their own: a store that answers slowly keeps nobody waiting who asks for none.

    threads.allow(6)                        # once, on the event loop
    row = await threads.in_thread(read, 3)
    body = await threads.in_blob_thread(blobs.read, name)
"""

from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar
from starlette.concurrency import run_in_threadpool

P = ParamSpec("P")
T = TypeVar("T")
_NONE: RunVar[bool] = RunVar("fedrela: no threads", default=False)
_BLOBS: RunVar[CapacityLimiter] = RunVar("fedrela: threads for blobs")


def allow(count: int) -> None:
    """How many threads operations of this event loop may use; 0: they run on the loop itself."""
    _NONE.set(count == 0)
    if count:
        to_thread.current_default_thread_limiter().total_tokens = count
        _BLOBS.set(CapacityLimiter(count))


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run an operation off the event loop, where there are threads."""
    if _NONE.get():
        return function(*args, **kwargs)
    return await run_in_threadpool(function, *args, **kwargs)


async def in_blob_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run what waits for the blob store off the event loop, and beside the other operations."""
    if _NONE.get():
        return function(*args, **kwargs)
    return await to_thread.run_sync(partial(function, *args, **kwargs), limiter=_BLOBS.get())
