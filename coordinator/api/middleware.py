"""What happens to every request before and after its route: header size, rates by address, headers, HEAD, metrics.

Plain ASGI: it adds microseconds, not a task per request.
"""

import time
from contextlib import suppress
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fedrela.coordinator.api import connections, headers, limits, problems
from fedrela.coordinator.monitoring import metrics
from fedrela.core.errors import FedRelaError, Refused

_METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE"}  # that are counted apart: strangers name any that they like


class _AnsweredByItsHead(Exception):
    """What would make the content need not begin."""


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
        asked = scope
        if scope["method"] == "HEAD":  # what GET gives, without its content: RFC 9110, section 9.3.2
            asked, send = {**scope, "method": "GET"}, _head_alone(send)

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers.complete(scope, message)
            await send(message)

        connection = connections.of(scope)
        try:
            with suppress(_AnsweredByItsHead):
                await self._answer(asked, receive, counted)
        finally:
            if connection:
                connection.end_request()
            route = getattr(asked.get("route"), "path", "unmatched")
            method = scope["method"] if route != "unmatched" and scope["method"] in _METHODS else "any"
            metrics.REQUESTS.labels(method, route, str(status)).inc()
            metrics.REQUEST_SECONDS.labels(route).observe(time.perf_counter() - started)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._check(scope)
        except FedRelaError as error:
            await problems.response(problems.describe(error))(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        head = sum(len(name) + len(value) for name, value in scope["headers"])
        head += len(scope.get("raw_path") or scope["path"]) + len(scope["query_string"])
        if head > limits.MAX_HEADER_BYTES:
            raise Refused(
                f"the headers are larger than {limits.MAX_HEADER_BYTES} bytes",
                remedy="send less",
                code="headers-too-large",
                status=431,
            )
        address = limits.address_of(scope)
        if connection := connections.of(scope):
            connection.begin_request(address)
        self._state.address_rate.check(address, time.monotonic())


def _head_alone(send: Send) -> Send:
    async def answered(message: Message) -> None:
        await send(message)
        await send({"type": "http.response.body", "body": b""})
        raise _AnsweredByItsHead

    return answered
