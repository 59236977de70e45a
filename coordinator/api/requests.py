"""What every route does with a request and its answer: the coordinator behind it, messages in, JSON out."""

import json
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import Response

from fedrela.coordinator.api import limits
from fedrela.coordinator.context import Coordinator
from fedrela.core import strict
from fedrela.core.wire import check_protocol

T = TypeVar("T")


def coordinator_of(request: Request) -> Coordinator:
    """The open coordinator of this application."""
    coordinator: Coordinator = request.app.state.coordinator
    return coordinator


async def message(request: Request, cls: type[T]) -> T:
    """The request's JSON body as `cls`. Raises InvalidMessage or Refused."""
    body = await limits.read_body(request, coordinator_of(request).settings.max_message_bytes, limits.MESSAGE_SECONDS)
    value = strict.from_json(cls, body)
    protocol = getattr(value, "protocol", None)
    if protocol is not None:
        check_protocol(protocol)
    return value


def json_response(value: Any, status: int = 200) -> Response:
    """A message dataclass as the answer."""
    return Response(strict.to_json(value), status, {"Cache-Control": "no-store"}, media_type="application/json")


def plain(value: Any) -> Response:
    """Dicts and lists as JSON."""
    return Response(json.dumps(value), 200, {"Cache-Control": "no-store"}, media_type="application/json")
