"""What an operator changes on the dashboard: log in and out; tasks, tokens and devices. Plain forms, one per button.

Whatever is refused is told on a page, with a way back: the one who reads it pressed a button.
"""

import re
import time
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from fastapi.routing import APIRoute

from fedrela.coordinator.access import leaving, session, tokens
from fedrela.coordinator.api import limits, operators, problems
from fedrela.coordinator.api.messages import RollbackRequest
from fedrela.coordinator.api.requests import coordinator_of
from fedrela.coordinator.api.threads import in_thread
from fedrela.coordinator.monitoring import history
from fedrela.coordinator.pages import qr
from fedrela.coordinator.pages.dashboard import inside, page, signed_in
from fedrela.coordinator.rounds import rollback, tasks
from fedrela.core import strict
from fedrela.core import task as task_file
from fedrela.core.errors import FedRelaError, InvalidMessage
from fedrela.core.protocol import links

FORM_BYTES = 64 * 1024
FORM_SECONDS = 30.0
_WHOLE = re.compile(r"-?[0-9]{1,15}")
NOT_FOR_PHONES = (
    "No phone can use this link: browsers train under https alone, at an address that other machines reach. "
    "Serve with a certificate or behind a proxy, and set FEDRELA_PUBLIC_URL."
)


class Form(APIRoute):
    """A form's address: one of our own errors becomes a page."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with its refusals as pages."""
        handle = super().get_route_handler()

        async def told(request: Request) -> Response:
            try:
                return await handle(request)
            except FedRelaError as error:
                problem = problems.describe(error)
                answer = page("message.html", problem.status, title=REFUSED, text=str(error), link="", code="")
                answer.headers.update(problems.retry_header(problem))
                return answer

        return told


REFUSED = "That was not done"
router = APIRouter(include_in_schema=False, route_class=Form)


async def form(request: Request) -> dict[str, str]:
    """The fields of a form of our own pages. Raises Refused (403) for another site's."""
    public_url = coordinator_of(request).settings.public_url
    session.check_origin(request.headers.get("origin"), request.headers.get("host"), public_url)
    body = await limits.read_body(request, FORM_BYTES, FORM_SECONDS)
    try:
        return {key: values[0] for key, values in parse_qs(body.decode(), strict_parsing=bool(body)).items()}
    except (UnicodeDecodeError, ValueError) as error:
        raise InvalidMessage("that is not a form", remedy="use the dashboard's own page") from error


def public_url(request: Request) -> str:
    """What browsers and devices call this site. Raises InvalidMessage for a Host header that names none."""
    called = coordinator_of(request).settings.public_url
    if not called:
        called = f"{request.scope['scheme']}://{request.headers.get('host', '')}"
        if not links.is_origin(called):
            raise InvalidMessage("the Host header names no host", remedy="send the host and port of this site")
    return called


def whole_number(text: str, name: str) -> int:
    """The number in a form's field; its bounds are those of what it is for. Raises InvalidMessage."""
    if not _WHOLE.fullmatch(text):
        raise InvalidMessage(f"{name} is {text[:40]!r}", remedy="write whole numbers, of at most 15 digits")
    return int(text)


@router.post("/login")
async def log_in(request: Request) -> Response:
    """Exchange the admin key for a session."""
    presented = (await form(request)).get("admin_key", "")
    key = coordinator_of(request).settings.admin_key
    if not operators.is_admin_key(request, presented):
        return page("login.html", 401, problem="That is not the admin key.")
    answer = RedirectResponse("/", 303)
    answer.set_cookie(
        session.COOKIE,
        session.issue(key, time.time()),
        max_age=session.SECONDS,
        httponly=True,
        samesite="strict",
        secure=public_url(request).startswith("https:"),
    )
    return answer


@router.post("/logout")
async def log_out(request: Request) -> Response:
    """End the session, in this browser and wherever a copy of its cookie is."""
    await form(request)
    if await signed_in(request):
        store, cookie = coordinator_of(request).store, request.cookies[session.COOKIE]
        await in_thread(session.end, store, cookie, time.time())
    answer = RedirectResponse("/", 303)
    answer.delete_cookie(session.COOKIE)
    return answer


def _task_button(verb: str, operation: Callable[..., None]) -> None:
    @router.post(f"/dashboard/tasks/{{task_id}}/{verb}", dependencies=inside, name=f"dashboard-{verb}")
    async def press(request: Request, task_id: str) -> Response:
        await form(request)
        coordinator = coordinator_of(request)
        await in_thread(lambda: operation(coordinator, task_id, coordinator.store.now()))
        return RedirectResponse(f"/dashboard/tasks/{task_id}", 303)


_task_button("pause", tasks.pause)
_task_button("resume", tasks.resume)
_task_button("cancel", tasks.cancel)


@router.post("/dashboard/tasks/{task_id}/rollback", dependencies=inside)
async def roll_back(request: Request, task_id: str) -> Response:
    """The next round begins from an earlier round's model."""
    fields, coordinator = await form(request), coordinator_of(request)
    wanted = {"to_round": whole_number(fields.get("to_round", ""), "the round")}
    to_round = strict.build(RollbackRequest, wanted, InvalidMessage).to_round
    await in_thread(lambda: rollback.rollback(coordinator, task_id, to_round, coordinator.store.now()))
    return RedirectResponse(f"/dashboard/tasks/{task_id}", 303)


@router.post("/dashboard/tasks", dependencies=inside)
async def create_task(request: Request) -> Response:
    """A new task on the programs of one that is there: from its start weights, or from its newest."""
    fields, coordinator = await form(request), coordinator_of(request)
    new_task = task_file.from_toml(fields.get("toml", ""), trial=coordinator.settings.dev)
    like = await in_thread(history.task, coordinator, fields.get("like", ""))
    weights = like["checkpoint_sha256" if fields.get("weights") == "newest" else "initial_checkpoint_sha256"]
    seal = await in_thread(tasks.seal_of, coordinator, like["task_id"])
    task_id = await in_thread(tasks.publish, coordinator, new_task, seal, weights, coordinator.store.now())
    return RedirectResponse(f"/dashboard/tasks/{task_id}", 303)


@router.post("/dashboard/tokens", dependencies=inside)
async def create_token(request: Request) -> Response:
    """An enrollment link with its QR code, shown this once."""
    fields, coordinator, called = await form(request), coordinator_of(request), public_url(request)
    uses = whole_number(fields.get("uses", "1"), "the number of uses")
    try:
        hours = float(fields.get("hours", "24"))
    except ValueError as error:
        raise InvalidMessage("hours is no number", remedy="write a number") from error
    population = fields.get("population", "default")
    token = await in_thread(
        lambda: tokens.create_token(coordinator, population, uses, hours * 3600, coordinator.store.now())
    )
    link = f"{called}/join#{token.fragment}"
    text = "" if links.is_for_phones(link) else NOT_FOR_PHONES
    return page("message.html", title="Enrollment link", text=text, link=link, code=qr.as_data_uri(link))


@router.post("/dashboard/tokens/{token_id}/revoke", dependencies=inside)
async def revoke_token(request: Request, token_id: str) -> Response:
    """No more devices by this token."""
    await form(request)
    coordinator = coordinator_of(request)
    await in_thread(lambda: tokens.revoke_token(coordinator, token_id, coordinator.store.now()))
    return RedirectResponse("/", 303)


@router.post("/dashboard/devices/{device_id}/revoke", dependencies=inside)
async def revoke_device(request: Request, device_id: str) -> Response:
    """The device's token is worth nothing from now on."""
    await form(request)
    coordinator = coordinator_of(request)
    await in_thread(lambda: leaving.revoke_device(coordinator, device_id, coordinator.store.now()))
    return RedirectResponse("/", 303)
