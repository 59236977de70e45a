"""Somebody on the way between a device and its coordinator: sees, keeps and rewrites whatever goes by.

between = Between(lambda path, answer: answer | {"coordinator_public_key": MINE})
client = device(live, 1, examples, http=httpx.Client(transport=between))
"""

import json
from collections.abc import Callable
from typing import Any

import httpx

Rewrite = Callable[[str, dict[str, Any]], dict[str, Any]]


class Between(httpx.BaseTransport):
    """`rewrite(path, answer)` gives the JSON answer that the device gets; `seen` is what went by, oldest first."""

    def __init__(self, rewrite: Rewrite = lambda path, answer: answer) -> None:
        self.rewrite = rewrite
        self.seen: list[tuple[httpx.Request, dict[str, Any]]] = []
        self._way = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Pass it on, and rewrite a JSON answer."""
        response = self._way.handle_request(request)
        body = response.read()
        if not response.headers.get("content-type", "").startswith("application/json"):
            return httpx.Response(response.status_code, headers=response.headers, stream=httpx.ByteStream(body))
        answer = json.loads(body)
        self.seen.append((request, answer))
        rewritten = json.dumps(self.rewrite(request.url.path, answer)).encode()
        return httpx.Response(response.status_code, stream=httpx.ByteStream(rewritten))
