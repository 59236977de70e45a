"""Requests straight into an ASGI application (https://asgi.readthedocs.io) in this process. May import httpx.

transport = AsgiTransport(app)
transport.start()
"""

import asyncio
import queue
import threading
from functools import partial
from typing import Any

import httpx

from edge.emulator.quick_http import Answered, answer


class AsgiTransport(httpx.BaseTransport):
    """A `Route` to an application, whose event loop runs in a thread."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._begun: list[tuple[httpx.Request, Answered]] = []  # not yet handed to the application
        self._tasks: set[asyncio.Task[httpx.Response]] = set()  # kept alive: an event loop doesn't
        self._ended: queue.SimpleQueue[tuple[httpx.Response | BaseException, Answered]] = queue.SimpleQueue()
        # `run_until_complete`, not `run_forever`: anyio keeps its worker threads for as long as the loop's main task.
        self._thread = threading.Thread(
            target=self._loop.run_until_complete, args=[self._over.wait()], name="coordinator", daemon=True
        )

    def start(self) -> None:
        """Start the event loop, then the application."""
        self._thread.start()
        self._lifespan = self._app.router.lifespan_context(self._app)
        asyncio.run_coroutine_threadsafe(self._lifespan.__aenter__(), self._loop).result()

    def stop(self) -> None:
        """End both."""
        asyncio.run_coroutine_threadsafe(self._lifespan.__aexit__(None, None, None), self._loop).result()
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()
        self._loop.close()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Run the application on one request, to the end. Raises what the application raises."""
        return asyncio.run_coroutine_threadsafe(self._answer(request), self._loop).result()

    def begin(self, request: httpx.Request, answered: Answered) -> None:
        """See `Route.begin`."""
        self._begun.append((request, answered))

    def collect(self, *, wait: bool) -> None:
        """See `Route.collect`. What was begun reaches the application together, so that it can be done together."""
        if self._begun:
            self._loop.call_soon_threadsafe(self._run, self._begun)
            self._begun = []
        try:
            while True:
                found, answered = self._ended.get(block=wait)
                wait = False
                answered(found)
        except queue.Empty:
            return

    def _run(self, begun: list[tuple[httpx.Request, Answered]]) -> None:
        """On the event loop: start them all."""
        for request, answered in begun:
            task = self._loop.create_task(self._answer(request))
            self._tasks.add(task)
            task.add_done_callback(partial(self._end, answered))

    def _end(self, answered: Answered, task: "asyncio.Task[httpx.Response]") -> None:
        self._tasks.discard(task)
        self._ended.put((task.exception() or task.result(), answered))

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        body = request.read()
        said: list[dict[str, Any]] = []
        ended = False

        async def receive() -> dict[str, Any]:
            nonlocal ended
            if ended:  # the application asks whether its client is still there: it is, and says nothing more
                await asyncio.Event().wait()
            ended = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            said.append(message)

        await self._app(_scope(request), receive, send)
        start, *parts = said
        return answer(start["status"], start["headers"], b"".join(part.get("body", b"") for part in parts))


def _scope(request: httpx.Request) -> dict[str, Any]:
    path, _, query = request.url.raw_path.partition(b"?")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "scheme": request.url.scheme,
        "path": request.url.path,
        "raw_path": path,
        "query_string": query,
        "server": (request.url.host, request.url.port),
        "client": ("127.0.0.1", 0),
        "root_path": "",
    }
