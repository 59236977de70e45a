"""Requests straight into an ASGI application (https://asgi.readthedocs.io) in this process.

The application's event loop runs in the thread that asks, while it waits for its answers: nothing is handed over. In a
thread that runs an event loop already, as in an async test or a notebook, no other loop can run: there the application
has a thread of its own.

    transport = AsgiTransport(app)
    transport.start()
"""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import httpx

from fedrela.emulator.connections.minimal_http import Answered, ConcurrentTransport, answer

T = TypeVar("T")


class AsgiTransport(ConcurrentTransport):
    """To an application. Any thread may ask; one at a time."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._loop = asyncio.new_event_loop()
        self._running = threading.Lock()
        self._thread = ThreadPoolExecutor(1, "asgi-application")  # begins with the first work for it
        self._begun: list[tuple[httpx.Request, Answered]] = []  # not yet handed to the application

    def start(self) -> None:
        """Start the application."""
        self._lifespan = self._app.router.lifespan_context(self._app)
        self._run(self._lifespan.__aenter__())

    def stop(self) -> None:
        """End it."""
        self._run(self._lifespan.__aexit__(None, None, None))
        self._thread.shutdown()
        self._loop.close()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Run the application on one request, to the end. Raises what the application raises."""
        return self._run(self._answer(request))

    def begin(self, request: httpx.Request, answered: Answered) -> None:
        """See `ConcurrentTransport.begin`."""
        self._begun.append((request, answered))

    def collect(self, *, wait: bool) -> None:
        """See `ConcurrentTransport.collect`. What was begun reaches the application together, to be done together."""
        begun, self._begun = self._begun, []
        if begun:
            responses = self._run(self._answers([request for request, _ in begun]))
            for (_, answered), response in zip(begun, responses, strict=True):
                answered(response)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        with self._running:
            if _runs_a_loop():
                return self._thread.submit(self._loop.run_until_complete, work).result()
            return self._loop.run_until_complete(work)

    async def _answers(self, requests: list[httpx.Request]) -> list[httpx.Response | BaseException]:
        return await asyncio.gather(*map(self._answer, requests), return_exceptions=True)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        body = request.read()
        messages: list[dict[str, Any]] = []
        ended = False

        async def receive() -> dict[str, Any]:
            nonlocal ended
            if ended:  # the application asks whether its client is still there: it is, and says nothing more
                await asyncio.Event().wait()
            ended = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            messages.append(message)

        await self._app(_scope(request), receive, send)
        start, *parts = messages
        return answer(start["status"], start["headers"], b"".join(part.get("body", b"") for part in parts))


def _runs_a_loop() -> bool:
    """Whether this thread is inside an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


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
