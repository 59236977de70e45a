"""What happens to every request before and after its route: header size, rate by address, metrics.

Plain ASGI: it adds microseconds, not a task per request.
"""

import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fedrela.coordinator.api import limits, problems
from fedrela.coordinator.monitoring import metrics
from fedrela.core.errors import FedRelaError, Refused


class RequestLimits:
    """The ASGI middleware. `state` is the application's, filled when serving begins."""

    def __init__(self, app: ASGIApp, state: Any) -> None:
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, pass on, count."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            self._check(scope)
        except FedRelaError as error:
            await problems.response(problems.describe(error))(scope, receive, counted)
        else:
            await self._app(scope, receive, counted)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            method = scope["method"] if route != "unmatched" else "any"
            metrics.REQUESTS.labels(method, route, str(status)).inc()
            metrics.REQUEST_SECONDS.labels(route).observe(time.perf_counter() - started)

    def _check(self, scope: Scope) -> None:
        if sum(len(name) + len(value) for name, value in scope["headers"]) > limits.MAX_HEADER_BYTES:
            raise Refused(
                f"the headers are larger than {limits.MAX_HEADER_BYTES} bytes",
                remedy="send less",
                code="headers-too-large",
                status=431,
            )
        address = scope["client"][0] if scope.get("client") else "unknown"
        self._state.address_rate.check(address, time.monotonic())
