"""httpx without what an emulated device never needs: cookies, redirects, proxies, authentication, connection to ASGI by
way of another httpx. The requests and answers are httpx's own, so a device's client sees no difference.

May import httpx.

    http = QuickClient(network)               # what an emulated device's own client is given
    transport = AsgiTransport(app)            # requests straight into an application in this process
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import httpx

_parsed = lru_cache(maxsize=64)(httpx.URL)  # most addresses are the same for every device


class QuickClient(httpx.Client):
    """Hands each request of `stream` to the transport as it is; everything else is httpx's."""

    def __init__(self, transport: httpx.BaseTransport) -> None:
        super().__init__(transport=transport, trust_env=False)

    @contextmanager
    def stream(self, method: str, url: Any, **arguments: Any) -> Iterator[httpx.Response]:
        """See `httpx.Client.stream`; takes `content` and `headers` only."""
        request = httpx.Request(method, _parsed(url), content=arguments["content"], headers=arguments["headers"])
        response = self._transport.handle_request(request)
        response.request = request
        try:
            yield response
        finally:
            response.close()


class AsgiTransport(httpx.BaseTransport):
    """Requests straight into an ASGI application (https://asgi.readthedocs.io), whose event loop runs in a thread."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
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
        body = request.read()
        return asyncio.run_coroutine_threadsafe(self._answer(_scope(request), body), self._loop).result()

    async def _answer(self, scope: dict[str, Any], body: bytes) -> httpx.Response:
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

        await self._app(scope, receive, send)
        start, *parts = said
        content = b"".join(part.get("body", b"") for part in parts)
        return httpx.Response(start["status"], headers=start["headers"], stream=httpx.ByteStream(content))


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
