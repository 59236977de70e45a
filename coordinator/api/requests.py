"""What every route does with a request and its answer: the coordinator behind it, messages in, JSON out."""

import json
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import Response

from fedrela.coordinator.api import connections, limits
from fedrela.coordinator.context import Coordinator
from fedrela.core import strict
from fedrela.core.errors import InvalidMessage
from fedrela.core.protocol import json_text

T = TypeVar("T")


def coordinator_of(request: Request) -> Coordinator:
    """The open coordinator of this application."""
    coordinator: Coordinator = request.app.state.coordinator
    return coordinator


def proved(request: Request) -> None:
    """The caller has shown valid credentials: its connection is no stranger's any more."""
    if connection := connections.of(request.scope):
        connection.prove()


async def message(request: Request, cls: type[T]) -> T:
    """A device's JSON body as `cls`; what a newer client says besides is ignored. Raises InvalidMessage or Refused."""
    return strict.from_json(cls, await _body(request))


async def operator_message(request: Request, cls: type[T]) -> T:
    """An operator's JSON body as `cls`; an unknown key is a mistake. Raises InvalidMessage, InvalidTask or Refused."""
    return strict.build(cls, json_text.parse(await _body(request)), InvalidMessage)


async def _body(request: Request) -> bytes:
    most = coordinator_of(request).settings.max_message_bytes
    return await limits.read_body(request, most, limits.MESSAGE_SECONDS)


def json_response(value: Any, status: int = 200) -> Response:
    """A message dataclass as the answer."""
    return Response(strict.to_json(value), status, {"Cache-Control": "no-store"}, media_type="application/json")


def plain(value: Any) -> Response:
    """Dicts and lists as JSON. Raises ValueError rather than to send what no JSON reader takes."""
    return Response(
        json.dumps(value, allow_nan=False), 200, {"Cache-Control": "no-store"}, media_type="application/json"
    )
