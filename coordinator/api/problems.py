"""Errors as RFC 9457 problem documents, and nothing but them.

InvalidInput       400    the code is the kind of input: invalid-message, invalid-tensors, ...
Refused            its own status and code
IntegrityError     409    integrity
MissingDependency  501    missing-dependency
Unavailable        503    with Retry-After
anything else      500    internal; the log has the traceback, the answer nothing

>>> describe(Refused("no", remedy="yes", code="x", status=409)).code
'x'
"""

import logging
import math
import re
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from fedrela.coordinator.api import headers
from fedrela.core import strict
from fedrela.core.errors import FedRelaError, IntegrityError, InvalidInput, MissingDependency, Refused, Unavailable
from fedrela.core.wire import PROBLEM_TYPE, Problem

RETRY_SECONDS = 2.0
log = logging.getLogger("fedrela.coordinator")


class TooMany(Refused):
    """A limit on the rate or number of requests was reached."""

    def __init__(self, problem: str, *, remedy: str, retry_after_seconds: float, status: int = 429) -> None:
        super().__init__(problem, remedy=remedy, code="too-many-requests", status=status)
        self.retry_after_seconds = retry_after_seconds


class RangeOutside(Refused):
    """A range that is not in a blob of `size_bytes` (RFC 9110, section 15.5.17)."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__(
            f"the blob has {size_bytes} bytes",
            remedy="ask for a range inside it",
            code="range-not-satisfiable",
            status=416,
        )
        self.size_bytes = size_bytes


def describe(error: FedRelaError) -> Problem:
    """The problem document of one of our errors."""
    status, code = _kind(error)
    later = (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS)
    retry = RETRY_SECONDS if status in later else 0.0
    if isinstance(error, TooMany):
        retry = error.retry_after_seconds
    return Problem(HTTPStatus(status).phrase, status, code, error.problem, error.remedy, retry_after_seconds=retry)


def _kind(error: FedRelaError) -> tuple[int, str]:
    if isinstance(error, Refused):
        return error.status, error.code
    if isinstance(error, InvalidInput):
        return 400, re.sub(r"(?<!^)([A-Z])", r"-\1", type(error).__name__).lower()
    if isinstance(error, IntegrityError):
        return 409, "integrity"
    if isinstance(error, MissingDependency):
        return 501, "missing-dependency"
    if isinstance(error, Unavailable):
        return 503, "unavailable"
    return 500, "internal"


def retry_header(problem: Problem) -> dict[str, str]:
    """When to come again, as a header; nothing where that isn't said."""
    return {"Retry-After": str(math.ceil(problem.retry_after_seconds))} if problem.retry_after_seconds else {}


def response(problem: Problem) -> Response:
    """The HTTP answer."""
    extra = {"Cache-Control": "no-store"} | retry_header(problem)
    if problem.status == HTTPStatus.UNAUTHORIZED:
        extra["WWW-Authenticate"] = 'Bearer realm="fedrela"'
    return Response(strict.to_json(problem), problem.status, extra, media_type=PROBLEM_TYPE)


def install(app: FastAPI) -> None:
    """Answer every failure of `app` with a problem document."""

    @app.exception_handler(FedRelaError)
    async def ours(request: Request, error: FedRelaError) -> Response:
        problem = describe(error)
        request.scope["problem_code"] = problem.code
        if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log.error("request failed", extra={"path": request.scope["path"], "problem": str(error)})
        answer = response(problem)
        if isinstance(error, RangeOutside):
            answer.headers["Content-Range"] = f"bytes */{error.size_bytes}"
        return answer

    @app.exception_handler(RequestValidationError)
    async def parameters(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first.get("loc", ()))
        detail = f"{where}: {first.get('msg', 'is not valid')}"
        return response(
            Problem("Bad Request", 400, "invalid-parameter", detail, "see /docs for this route's parameters")
        )

    @app.exception_handler(HTTPException)
    async def routing(request: Request, error: HTTPException) -> Response:
        status = HTTPStatus(error.status_code)
        problem = Problem(
            status.phrase, status, status.phrase.lower().replace(" ", "-"), status.phrase, "see /docs for the routes"
        )
        answer = response(problem)
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> Response:
        answer = response(
            Problem(
                "Internal Server Error",
                500,
                "internal",
                "the coordinator made a mistake",
                "report it with the log's traceback",
            )
        )
        scheme = request.scope["scheme"]
        answer.raw_headers += headers.missing(answer.raw_headers, scheme)  # it passes no middleware of ours
        return answer
