"""What every route does with a request and its answer: the coordinator behind it, messages in, JSON out."""

import json
import time
from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import Response

from fedrela.coordinator.access import auth
from fedrela.coordinator.access.devices import Credentials
from fedrela.coordinator.api import connections, limits
from fedrela.coordinator.context import Coordinator
from fedrela.core import strict
from fedrela.core.errors import InvalidMessage, Refused
from fedrela.core.protocol import json_text, signed_requests

T = TypeVar("T")


def coordinator_of(request: Request) -> Coordinator:
    """The open coordinator of this application."""
    coordinator: Coordinator = request.app.state.coordinator
    return coordinator


def proved(request: Request) -> None:
    """The caller has shown valid credentials: its connection is no stranger's any more."""
    if connection := connections.of(request.scope):
        connection.prove()


def credentials(request: Request) -> Credentials:
    """Who asks, counted against the token's rate. Raises Refused (401) or TooMany (429).

    The signature is verified here, outside of every transaction; whether its key is that of the token's device, where
    the device is looked up. What nobody has signed is refused there too, when it is known whose it would be.
    """
    token_hash = auth.hash_token(auth.bearer(request.headers.get("authorization")))
    request.app.state.device_rate.check(token_hash, time.monotonic())
    path = str(request.scope["path"]).removeprefix(request.scope.get("root_path", ""))
    try:
        return Credentials(token_hash, signed_requests.signer(request.method, path, request.headers))
    except Refused:
        return Credentials(token_hash, signed_by="")


async def message(request: Request, cls: type[T]) -> T:
    """A device's JSON body as `cls`; what a newer client says besides is ignored. Raises InvalidMessage or Refused."""
    return strict.from_json(cls, await _body(request))


async def operator_message(request: Request, cls: type[T], complete: Callable[[Any], Any] = lambda body: body) -> T:
    """An operator's JSON body as `cls`; an unknown key is a mistake. Raises InvalidMessage, InvalidTask or Refused.

    `complete`: puts in what the body means where it says nothing.
    """
    return strict.build(cls, complete(json_text.parse(await _body(request))), InvalidMessage)


async def _body(request: Request) -> bytes:
    most = coordinator_of(request).settings.max_message_bytes
    body = await limits.read_body(request, most, limits.MESSAGE_SECONDS)
    if (digest := request.headers.get(signed_requests.CONTENT_DIGEST)) is not None:
        signed_requests.check_digest(digest, body)
    return body


def json_response(value: Any, status: int = 200) -> Response:
    """A message dataclass as the answer."""
    return Response(strict.to_json(value), status, {"Cache-Control": "no-store"}, media_type="application/json")


def plain(value: Any) -> Response:
    """Dicts and lists as JSON. Raises ValueError rather than to send what no JSON reader takes."""
    return Response(
        json.dumps(value, allow_nan=False), 200, {"Cache-Control": "no-store"}, media_type="application/json"
    )
