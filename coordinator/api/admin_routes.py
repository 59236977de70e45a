"""What operators call, with the admin key: blobs, tasks, tokens, devices, history. One operation per route."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import Response

from fedrela.coordinator.access import auth, leaving, tokens
from fedrela.coordinator.api import limits, openapi, operators
from fedrela.coordinator.api.messages import (
    AccuracyReport,
    BlobReceipt,
    ClockRequest,
    CollectRequest,
    PublishRequest,
    PublishResponse,
    RollbackRequest,
    RollbackResponse,
    ServerResponse,
    TokenRequest,
)
from fedrela.coordinator.api.requests import coordinator_of, json_response, operator_message, plain
from fedrela.coordinator.api.threads import in_blob_thread, in_thread
from fedrela.coordinator.monitoring import evaluation, history
from fedrela.coordinator.rounds import deletion, housekeeping, rollback, tasks
from fedrela.coordinator.storage import blobs, collection
from fedrela.core import privacy, signing, wire
from fedrela.core.errors import Refused


async def require_admin(request: Request) -> None:
    """Raise Refused(401) unless the request carries the admin key."""
    if not operators.is_admin_key(request, auth.bearer(request.headers.get("authorization"))):
        raise auth.unauthenticated()


router = APIRouter(prefix="/v1/admin", tags=["operators"], dependencies=[Depends(require_admin)])
LISTING = {"type": "array", "items": {"type": "object"}}
RECORD = {"type": "object"}


@router.put(
    "/blobs/{sha256}",
    **openapi.route(
        security="admin", takes="application/octet-stream", gives=BlobReceipt, status=201, problems=(409, 411)
    ),
)
async def put_blob(request: Request, sha256: str) -> Response:
    """Store a blob under its hash. Storing it again is no fault."""
    coordinator = coordinator_of(request)
    wire.check_sha256_name(sha256)
    length = limits.declared_length(request)
    if length is None:
        raise Refused("the blob has no Content-Length", remedy="send its length", code="length-required", status=411)
    body = await limits.read_body(request, coordinator.settings.max_blob_bytes, 600.0)
    await in_thread(signing.check_sha256, body, sha256, "the blob")
    await in_blob_thread(coordinator.blobs.put, blobs.public(sha256), body)
    return json_response(BlobReceipt(sha256, len(body)), 201)


@router.post(
    "/tasks",
    **openapi.route(security="admin", takes=PublishRequest, gives=PublishResponse, status=201, problems=(409,)),
)
async def publish(request: Request) -> Response:
    """Begin a task on blobs that are stored already."""
    coordinator, publication = coordinator_of(request), await operator_message(request, PublishRequest, _completed)
    task_id = await in_thread(
        lambda: tasks.publish(
            coordinator,
            publication.task,
            publication.seal,
            publication.checkpoint_sha256,
            coordinator.store.now(),
        )
    )
    return json_response(PublishResponse(task_id), 201)


def _completed(publication: Any) -> Any:
    """What a request asks for whose task says nothing of privacy is what a task's file asks for."""
    task = publication.get("task") if isinstance(publication, Mapping) else None
    return {**publication, "task": privacy.completed(task)} if isinstance(task, Mapping) else publication


@router.get("/server", **openapi.route(security="admin", gives=ServerResponse))
async def server(request: Request) -> Response:
    """What this coordinator is set up for."""
    settings = coordinator_of(request).settings
    return json_response(ServerResponse(settings.dev, settings.public_url, wire.FEATURES))


@router.get("/tasks", **openapi.route(security="admin", gives=LISTING))
async def list_tasks(request: Request) -> Response:
    """Every task and where it stands."""
    return plain(await in_thread(history.tasks, coordinator_of(request)))


@router.get("/tasks/{task_id}", **openapi.route(security="admin", gives=RECORD, problems=(404,)))
async def show_task(request: Request, task_id: str) -> Response:
    """One task, its settings and its open round."""
    return plain(await in_thread(history.task, coordinator_of(request), task_id))


@router.get(
    "/tasks/{task_id}/rounds",
    **openapi.route(security="admin", gives=LISTING, problems=(404,), or_text="text/csv"),
)
async def list_rounds(
    request: Request, task_id: str, form: Literal["json", "csv"] = Query("json", alias="format")
) -> Response:
    """The history of a task, one record per round."""
    records = await in_thread(history.rounds, coordinator_of(request), task_id)
    if form == "csv":
        return Response(history.as_csv(records), media_type="text/csv")
    return plain(records)


@router.put(
    "/tasks/{task_id}/rounds/{number}/accuracy",
    **openapi.route(security="admin", takes=AccuracyReport, status=204, problems=(404, 409)),
)
async def evaluate_round(request: Request, task_id: str, number: int = Path(ge=0, lt=2**31)) -> Response:
    """What the operator's own test set says of a committed round's model."""
    coordinator, report = coordinator_of(request), await operator_message(request, AccuracyReport)
    await in_thread(lambda: evaluation.record_accuracy(coordinator, task_id, number, report, coordinator.store.now()))
    return Response(status_code=204)


def _command(verb: str, operation: Callable[..., None]) -> None:
    @router.post(
        f"/tasks/{{task_id}}/{verb}",
        **openapi.route(security="admin", status=204, problems=(404, 409)),
        name=verb,
        description=(operation.__doc__ or "").strip(),
    )
    async def command(request: Request, task_id: str) -> Response:
        coordinator = coordinator_of(request)
        await in_thread(lambda: operation(coordinator, task_id, coordinator.store.now()))
        return Response(status_code=204)


_command("pause", tasks.pause)
_command("resume", tasks.resume)
_command("cancel", tasks.cancel)
_command("delete", deletion.delete)


@router.post(
    "/tasks/{task_id}/rollback",
    **openapi.route(security="admin", takes=RollbackRequest, gives=RollbackResponse, problems=(404, 409)),
)
async def roll_back(request: Request, task_id: str) -> Response:
    """The next round begins from an earlier round's model; the open round ends without a result."""
    coordinator, asked = coordinator_of(request), await operator_message(request, RollbackRequest)
    number = await in_thread(lambda: rollback.rollback(coordinator, task_id, asked.to_round, coordinator.store.now()))
    return json_response(RollbackResponse(number))


@router.post("/tokens", **openapi.route(security="admin", takes=TokenRequest, gives=RECORD, status=201))
async def create_token(request: Request) -> Response:
    """An enrollment token; its secret is in this answer and nowhere else."""
    coordinator, token_request = coordinator_of(request), await operator_message(request, TokenRequest)
    token = await in_thread(
        lambda: tokens.create_token(
            coordinator,
            token_request.population,
            token_request.max_uses,
            token_request.valid_seconds,
            coordinator.store.now(),
            token_request.publishers,
        )
    )
    return json_response(token, 201)


@router.get("/tokens", **openapi.route(security="admin", gives=LISTING))
async def list_tokens(request: Request) -> Response:
    """Every enrollment token, without its secret."""
    return plain(await in_thread(history.tokens, coordinator_of(request)))


@router.delete("/tokens/{token_id}", **openapi.route(security="admin", status=204, problems=(404,)))
async def revoke_token(request: Request, token_id: str) -> Response:
    """No more devices by this token."""
    coordinator = coordinator_of(request)
    await in_thread(lambda: tokens.revoke_token(coordinator, token_id, coordinator.store.now()))
    return Response(status_code=204)


@router.get("/devices", **openapi.route(security="admin", gives=LISTING))
async def list_devices(
    request: Request, limit: int = Query(1000, ge=1, le=10_000), after: str = Query("", max_length=100)
) -> Response:
    """Devices in the order of their ids, a page at a time: pass the last id as `after`."""
    return plain(await in_thread(history.devices, coordinator_of(request), limit, after))


@router.delete("/devices/{device_id}", **openapi.route(security="admin", status=204, problems=(404,)))
async def revoke_device(request: Request, device_id: str) -> Response:
    """The device's token is worth nothing from now on."""
    coordinator = coordinator_of(request)
    await in_thread(lambda: leaving.revoke_device(coordinator, device_id, coordinator.store.now()))
    return Response(status_code=204)


@router.post("/clock", **openapi.route(security="admin", takes=ClockRequest, gives=ClockRequest, problems=(409,)))
async def advance_clock(request: Request) -> Response:
    """Virtual clock only: move time forward and do everything that is then due."""
    coordinator, clock_request = coordinator_of(request), await operator_message(request, ClockRequest)
    if not coordinator.settings.virtual_clock:
        raise Refused(
            "this coordinator runs on real time",
            remedy="start it with FEDRELA_DEV=1 FEDRELA_VIRTUAL_CLOCK=1 for an emulation",
            code="real-clock",
            status=409,
        )
    now = await in_thread(coordinator.store.advance_clock, clock_request.now_seconds)
    await in_thread(housekeeping.run_housekeeping, coordinator)
    return json_response(ClockRequest(now))


@router.post("/collect", **openapi.route(security="admin", takes=CollectRequest, gives=RECORD))
async def collect(request: Request) -> Response:
    """Delete blobs that no task needs, or list what would go."""
    coordinator, collection_request = coordinator_of(request), await operator_message(request, CollectRequest)
    return json_response(
        await in_thread(collection.collect, coordinator, collection_request.min_age_seconds, collection_request.dry_run)
    )
