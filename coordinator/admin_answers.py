"""What a coordinator answers its operators: each route's status and shape. What is not that is no answer.

A redirect, a proxy's log-in page or another server behind the same address says nothing about what was asked. The
fields here are those that clients of operators read; a coordinator may say more, and does.

>>> expected("DELETE", "/tokens/e-0123").status
204
"""

import re
from dataclasses import dataclass
from typing import Any

import httpx

from fedrela.coordinator.api.messages import (
    BlobReceipt,
    ClockRequest,
    PublishResponse,
    RollbackResponse,
    ServerResponse,
)
from fedrela.core import strict
from fedrela.core.errors import InvalidInput, InvalidMessage, Refused
from fedrela.core.protocol.limits import Id, Sha256, Token

NO_PROBLEM = "unknown"  # the code of a refusal without a problem document: nobody knows whose it is
_PATH = re.compile(r"(/[A-Za-z0-9_-]{1,128})+")


@dataclass(frozen=True)
class TaskRecord:
    """A task and where it stands."""

    task_id: Id
    name: str
    population: str
    status: str
    round: int
    rounds: int
    committed_rounds: int
    manifest_sha256: Sha256
    checkpoint_sha256: Sha256
    initial_checkpoint_sha256: Sha256
    created_at: float


@dataclass(frozen=True)
class RoundRecord:
    """A round so far."""

    round: int
    phase: str
    updates: int
    failures: dict[str, int]
    update_bytes: int
    checkpoint_sha256: Sha256 | None
    committed_at: float | None


@dataclass(frozen=True)
class TokenRecord:
    """An enrollment token without its secret."""

    token_id: Id
    population: str
    uses: int
    max_uses: int
    expires_at: float
    revoked_at: float | None


@dataclass(frozen=True)
class NewTokenRecord:
    """An enrollment token as its maker sees it, once."""

    token_id: Id
    enrollment_token: Token
    fragment: str


@dataclass(frozen=True)
class DeviceRecord:
    """An enrolled device."""

    device_id: Id
    population: str
    enrolled_at: float
    last_assignment_at: float | None
    revoked_at: float | None


@dataclass(frozen=True)
class CollectedRecord:
    """Blobs that went, or would go."""

    names: tuple[str, ...]
    bytes: int


@dataclass(frozen=True)
class Answer:
    """The answer to a request that was done: its status, and the shape of its JSON; None: it has no body."""

    status: int
    shape: type | None = None
    is_list: bool = False


_DONE = Answer(204)
# Below /v1/admin; `{}` stands for an id, a hash or a round's number.
ANSWERS = {
    ("GET", "/server"): Answer(200, ServerResponse),
    ("PUT", "/blobs/{}"): Answer(201, BlobReceipt),
    ("POST", "/tasks"): Answer(201, PublishResponse),
    ("GET", "/tasks"): Answer(200, TaskRecord, is_list=True),
    ("GET", "/tasks/{}"): Answer(200, TaskRecord),
    ("GET", "/tasks/{}/rounds"): Answer(200, RoundRecord, is_list=True),
    ("PUT", "/tasks/{}/rounds/{}/accuracy"): _DONE,
    ("POST", "/tasks/{}/pause"): _DONE,
    ("POST", "/tasks/{}/resume"): _DONE,
    ("POST", "/tasks/{}/cancel"): _DONE,
    ("POST", "/tasks/{}/delete"): _DONE,
    ("POST", "/tasks/{}/rollback"): Answer(200, RollbackResponse),
    ("POST", "/tokens"): Answer(201, NewTokenRecord),
    ("GET", "/tokens"): Answer(200, TokenRecord, is_list=True),
    ("DELETE", "/tokens/{}"): _DONE,
    ("GET", "/devices"): Answer(200, DeviceRecord, is_list=True),
    ("DELETE", "/devices/{}"): _DONE,
    ("POST", "/clock"): Answer(200, ClockRequest),
    ("POST", "/collect"): Answer(200, CollectedRecord),
}


def expected(method: str, path: str) -> Answer:
    """How a coordinator answers this request where it does it. Raises InvalidInput for a request that it can't know.

    An id that would change the path, such as `d-1?x` or `../d-1`, could name something else than its user sees.
    """
    if _PATH.fullmatch(path):
        for (known_method, route), answer in ANSWERS.items():
            if known_method == method and _fits(path, route):
                return answer
    raise InvalidInput(
        f"{path[:200]!r} is nothing that a coordinator has", remedy="check the id against `fedrela task list` and so on"
    )


def _fits(path: str, route: str) -> bool:
    parts, pattern = path.split("/"), route.split("/")
    return len(parts) == len(pattern) and all(want in (part, "{}") for part, want in zip(parts, pattern, strict=True))


def read(answer: httpx.Response, shape: Answer, call: str) -> Any:
    """The JSON of a successful answer, or None where it is one without a body.

    Raises InvalidMessage where it is not the answer of a coordinator that did what was asked.
    """
    try:
        if answer.status_code != shape.status:
            raise InvalidMessage(f"the status is {answer.status_code} and not {shape.status}", remedy="")
        return _body(answer, shape)
    except (InvalidMessage, ValueError, RecursionError) as error:
        kind = answer.headers.get("content-type", "nothing").split(";")[0][:60]
        reason = error.problem if isinstance(error, InvalidMessage) else str(error)[:200]
        raise InvalidMessage(
            f"what answered {call} is no FedReLa coordinator: it sent {kind}, status {answer.status_code} ({reason})",
            remedy="nothing says that it was done: check --url, and whether a proxy or a log-in page stands between",
        ) from error


def _body(answer: httpx.Response, shape: Answer) -> Any:
    if shape.shape is None:
        if answer.content:
            raise InvalidMessage("there is a body", remedy="")
        return None
    value = answer.json()
    if shape.is_list and not isinstance(value, list):
        raise InvalidMessage("it is no list", remedy="")
    for record in value if shape.is_list else [value]:
        strict.build(shape.shape, record, InvalidMessage, ignore_unknown=True)
    return value


def refusal(answer: httpx.Response, call: str) -> Refused:
    """The problem document of an answer as an error; in words of ours where it has none."""
    try:
        problem = answer.json()
        return Refused(
            str(problem["detail"]), remedy=str(problem["remedy"]), code=str(problem["code"]), status=answer.status_code
        )
    except (ValueError, KeyError, TypeError):
        return Refused(
            f"the server answered {call} with status {answer.status_code}{_elsewhere(answer)}",
            remedy="check that --url names a FedReLa coordinator, and look at its log",
            code=NO_PROBLEM,
            status=answer.status_code,
        )


def _elsewhere(answer: httpx.Response) -> str:
    """Where a redirect points: often to the same place by https."""
    return f", and points to {answer.headers['location'][:200]!r}" if answer.has_redirect_location else ""
