"""What members of a group call: keys, the next step, shares, agreement, reveal. Masked updates come as all updates."""

from typing import Any, TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import Response

from fedrela.coordinator.api import openapi
from fedrela.coordinator.api.requests import coordinator_of, credentials, json_response, message, proved
from fedrela.coordinator.api.threads import in_thread
from fedrela.coordinator.rounds import housekeeping
from fedrela.coordinator.rounds.batching import Batches
from fedrela.coordinator.secure import turns
from fedrela.coordinator.secure.turns import Sent
from fedrela.core.secure.messages import SecureAgreement, SecureKeys, SecureReveal, SecureShares, SecureStep

router = APIRouter(prefix="/v1/assignments/{assignment_id}/secure", tags=["devices"])
T = TypeVar("T", SecureKeys, SecureShares, SecureAgreement, SecureReveal)


def _takes(kind: type) -> dict[str, Any]:
    return openapi.route(security="device", takes=kind, status=204, problems=(404, 409))


@router.put("/keys", **_takes(SecureKeys))
async def put_keys(request: Request, assignment_id: str) -> Response:
    """A device has its update, and waits for a group with these keys."""
    return await _accept(request, assignment_id, SecureKeys)


@router.get("", **openapi.route(security="device", gives=SecureStep, problems=(404, 409)))
async def step(request: Request, assignment_id: str) -> Response:
    """What a device of a secure round is to do next."""
    coordinator, caller = coordinator_of(request), credentials(request)
    answer = await in_thread(turns.step, coordinator, caller, assignment_id)
    proved(request)
    return json_response(answer)


@router.put("/shares", **_takes(SecureShares))
async def put_shares(request: Request, assignment_id: str) -> Response:
    """Shares of a member's secrets, sealed for each other member."""
    return await _accept(request, assignment_id, SecureShares)


@router.put("/agreement", **_takes(SecureAgreement))
async def put_agreement(request: Request, assignment_id: str) -> Response:
    """A member's signature on whose masked updates are there."""
    return await _accept(request, assignment_id, SecureAgreement)


@router.put("/reveal", **_takes(SecureReveal))
async def put_reveal(request: Request, assignment_id: str) -> Response:
    """A member's shares of what takes the pads off the sum."""
    return await _accept(request, assignment_id, SecureReveal)


async def _accept(request: Request, assignment_id: str, kind: type[T]) -> Response:
    coordinator, caller = coordinator_of(request), credentials(request)
    telling: Batches[Sent, None] = request.app.state.telling
    await telling(Sent(caller, assignment_id, await message(request, kind)))
    proved(request)
    if coordinator.settings.virtual_clock and coordinator.wake.is_set():
        coordinator.wake.clear()
        await in_thread(housekeeping.run_housekeeping, coordinator)
    return Response(status_code=204)
