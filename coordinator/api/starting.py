"""A coordinator that can't start says why in one line, and ends, with all of its workers.

uvicorn prints whatever an application sends as the reason; Starlette sends a traceback. A worker of uvicorn that can't
start is started anew for ever, so the first one ends the process that does that.
"""

import asyncio
import multiprocessing
import os
import signal

from starlette.types import Message, Send
from uvicorn import Config

from fedrela.core.errors import FedRelaError

OTHERS_SECONDS = 2.0  # that the other workers wait for the first one, which says it for all
_FAILED = "lifespan.startup.failed"


class Start:
    """The start of one server: what says that it failed is held back until it is known why."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._failure: Message | None = None

    async def send(self, message: Message) -> None:
        """Pass a message on, unless it says that the start has failed."""
        if message["type"] == _FAILED:
            self._failure = message
        else:
            await self._send(message)

    async def failed(self, error: FedRelaError | None, config: Config | None) -> None:
        """Say why, if the start has failed; `error`: one of ours; `config`: of the uvicorn that serves."""
        if self._failure is None:
            return
        if error is None:
            await self._send(self._failure)
            return
        parent = multiprocessing.parent_process()
        message = f"{error.problem}\n  what to do: {error.remedy}"
        if parent is None or config is None or config.workers < 2:
            await self._send({"type": _FAILED, "message": message})
            return
        number = int(multiprocessing.current_process().name.rpartition("-")[2] or 0)
        if 1 < number <= config.workers:
            message = ""
            await asyncio.sleep(OTHERS_SECONDS)
        await self._send({"type": _FAILED, "message": message})
        if parent.pid is not None:
            os.kill(parent.pid, signal.SIGTERM)
