"""What devices call: enroll, check in, fetch blobs, report. Each route reads its request and calls one operation.

Work is done in a thread, so that a slow disk stalls nobody else.
"""

from contextlib import suppress

from fastapi import APIRouter, Request
from fastapi.responses import Response

from fedrela.coordinator.access import auth, devices, leaving
from fedrela.coordinator.access.devices import Device
from fedrela.coordinator.api import downloads, limits, openapi, operators, problems
from fedrela.coordinator.api.requests import coordinator_of, credentials, json_response, message, proved
from fedrela.coordinator.api.threads import in_blob_thread, in_thread
from fedrela.coordinator.context import Coordinator
from fedrela.coordinator.monitoring import evaluation, metrics
from fedrela.coordinator.rounds import housekeeping, service, upload_claims
from fedrela.coordinator.rounds.batching import Batches
from fedrela.coordinator.rounds.service import CheckInRequest
from fedrela.coordinator.rounds.uploads import StoredUpdate, Upload, UploadHeaders
from fedrela.coordinator.storage import rows, visible_blobs
from fedrela.core import wire
from fedrela.core.errors import FedRelaError, IntegrityError, InvalidInput, Refused, Unavailable
from fedrela.core.protocol import signed_requests
from fedrela.core.protocol.key_chain import KeyChain
from fedrela.core.wire import (
    Assignment,
    CheckIn,
    CheckInResponse,
    EnrollRequest,
    EnrollResponse,
    EvaluationReport,
    FailureReport,
    UpdateReceipt,
    Wait,
)

router = APIRouter(tags=["devices"])


def device_of(request: Request) -> Device:
    """The device that asks; runs in a thread. Raises Refused (401) or TooMany (429)."""
    device = devices.authenticate(coordinator_of(request), credentials(request))
    proved(request)
    return device


@router.get("/v1/keys", **openapi.route(gives=KeyChain))
async def keys(request: Request) -> Response:
    """How this coordinator came by its signing key, for devices that pinned a former one."""
    return json_response(coordinator_of(request).standing.keys)


@router.post("/v1/devices", **openapi.route(takes=EnrollRequest, gives=EnrollResponse, status=201, problems=(403,)))
async def enroll(request: Request) -> Response:
    """A device introduces itself with the enrollment token of its link and gets its own token."""
    coordinator, enrollment = coordinator_of(request), await message(request, EnrollRequest)
    enrolled = await in_thread(lambda: devices.enroll(coordinator, enrollment, coordinator.store.now()))
    proved(request)
    return json_response(enrolled, 201)


@router.post(
    "/v1/check-ins", **openapi.route(security="device", takes=CheckIn, gives=CheckInResponse, problems=(403, 409))
)
async def check_in(request: Request) -> Response:
    """A device offers to work; it gets an assignment, or a time to come back."""
    caller = credentials(request)
    offer = await message(request, CheckIn)
    joining: Batches[CheckInRequest, Assignment | Wait] = request.app.state.joining
    answer = await joining(CheckInRequest(caller, offer))
    proved(request)
    if isinstance(answer, Wait):
        metrics.CHECK_INS.labels(answer.reason).inc()
        return json_response(CheckInResponse(wait=answer))
    metrics.CHECK_INS.labels("assignment").inc()
    return json_response(CheckInResponse(assignment=answer))


@router.get(
    "/v1/blobs/{sha256}",
    **openapi.route(
        security="any",
        gives="application/octet-stream",
        problems=(404, 416),
        also={206: "The range that was asked for", 304: "The caller has it already"},
    ),
)
async def blob(request: Request, sha256: str) -> Response:
    """A program, manifest, task or checkpoint, by its hash; it never changes, so cache it for ever."""
    wire.check_sha256_name(sha256)
    token = auth.bearer(request.headers.get("authorization"))
    # A device's token is no guess: it opens blobs even where its address has sent too many wrong keys.
    if not await in_thread(_is_reading_device, request, token, sha256) and not operators.is_admin_key(request, token):
        raise auth.unauthenticated()
    return await downloads.respond(coordinator_of(request).blobs, sha256, request.headers)


def _is_reading_device(request: Request, token: str, sha256: str) -> bool:
    """Whether the token is a device's. Raises Refused (401, 404) unless that device asks for its population's blob."""
    coordinator = coordinator_of(request)
    with coordinator.store.read() as view:
        known = devices.identify_all(view, [auth.hash_token(token)])
    if not known:
        return False
    device = credentials(request).of(known)
    proved(request)
    if not visible_blobs.is_visible(coordinator, device.population, sha256):
        raise rows.not_found("blob")
    return True


@router.put(
    "/v1/assignments/{assignment_id}/update",
    **openapi.route(security="device", takes=wire.TENSORS_TYPE, gives=UpdateReceipt, problems=(403, 404, 409, 411)),
)
async def put_update(request: Request, assignment_id: str) -> Response:
    """The weight change of one assignment. Idempotent: the same body again is acknowledged again and counts once."""
    try:
        receipt = await _receive_update(request, assignment_id)
    except FedRelaError as error:
        metrics.UPDATES_REFUSED.labels(problems.describe(error).code).inc()
        raise
    (metrics.UPDATES_REPEATED if receipt.duplicate else metrics.UPDATES_ACCEPTED).inc()
    return json_response(receipt)


async def _receive_update(request: Request, assignment_id: str) -> UpdateReceipt:
    coordinator = coordinator_of(request)
    token = request.headers.get(wire.UPLOAD_TOKEN_HEADER, "")
    length = limits.declared_length(request)
    beginning: Batches[UploadHeaders, Upload] = request.app.state.beginning
    upload = await beginning(UploadHeaders(credentials(request), assignment_id, token, length))
    receipt = None
    try:
        receipt = await _count_update(request, upload, length)
    finally:
        coordinator.uploading.pop(assignment_id, None)
        if receipt is None or receipt.duplicate:  # with a new one its assignment has ended, and the claim with it
            with suppress(Unavailable):
                await in_thread(upload_claims.release, coordinator, assignment_id)
    if (
        coordinator.settings.virtual_clock and coordinator.wake.is_set()
    ):  # this update, or one beside it, has completed a round
        coordinator.wake.clear()
        await in_thread(housekeeping.run_housekeeping, coordinator)
    return receipt


async def _count_update(request: Request, upload: Upload, length: int | None) -> UpdateReceipt:
    """Receive, check, store and count the one update of an assignment that is received now."""
    coordinator = coordinator_of(request)
    proved(request)
    memory: limits.UploadMemory = request.app.state.upload_memory
    with memory.upload(upload.device_id, length or 0) as held:
        body = await limits.read_body(request, upload.max_bytes, upload.seconds, held)
        metrics.BYTES_RECEIVED.inc(len(body))
        digest = request.headers[signed_requests.CONTENT_DIGEST]  # part of what was signed
        stored = await in_blob_thread(_checked_and_stored, coordinator, upload, body, digest)
    counting: Batches[StoredUpdate, UpdateReceipt] = request.app.state.counting
    try:
        return await counting(stored)
    except (Refused, InvalidInput, IntegrityError):  # whatever was wrong: nothing refers to the body
        await in_thread(service.discard_update, coordinator, stored)
        raise


def _checked_and_stored(coordinator: Coordinator, upload: Upload, body: bytes, digest: str) -> StoredUpdate:
    signed_requests.check_digest(digest, body)
    return service.store_update(coordinator, upload, body)


@router.post(
    "/v1/assignments/{assignment_id}/failure",
    **openapi.route(security="device", takes=FailureReport, status=204, problems=(404, 409)),
)
async def failure(request: Request, assignment_id: str) -> Response:
    """A device gives its slot back and says why."""
    coordinator, caller = coordinator_of(request), credentials(request)
    report = await message(request, FailureReport)

    def report_failure() -> None:
        device = devices.authenticate(coordinator, caller)
        service.report_failure(coordinator, device, assignment_id, report, coordinator.store.now())

    await in_thread(report_failure)
    metrics.FAILURES.labels(report.code).inc()
    return Response(status_code=204)


@router.post(
    "/v1/assignments/{assignment_id}/evaluation",
    **openapi.route(security="device", takes=EvaluationReport, status=204, problems=(403, 404, 409)),
)
async def evaluate(request: Request, assignment_id: str) -> Response:
    """Totals over a device's hold-out, where the task asks for them; only the sums over all devices are kept."""
    coordinator, caller = coordinator_of(request), credentials(request)
    report = await message(request, EvaluationReport)
    await in_thread(
        lambda: evaluation.add(coordinator, devices.authenticate(coordinator, caller), assignment_id, report)
    )
    return Response(status_code=204)


@router.delete("/v1/devices/self", **openapi.route(security="device", status=204))
async def leave(request: Request) -> Response:
    """The owner withdraws: an open assignment is given back, and nothing is left that says who the device was."""
    coordinator = coordinator_of(request)
    await in_thread(lambda: leaving.forget_device(coordinator, device_of(request).id, coordinator.store.now()))
    return Response(status_code=204)
