"""The operator's dashboard at `/`: what the admin API says, as pages. Server-rendered; works on a phone and printed.

Reading is here, changing in `pages/dashboard_actions.py`. Pages show devices as random ids only.
"""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Request
from fastapi.responses import FileResponse, HTMLResponse, Response, StreamingResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from fedrela.coordinator.access import session
from fedrela.coordinator.api.requests import coordinator_of, proved
from fedrela.coordinator.api.threads import in_thread
from fedrela.coordinator.context import Coordinator
from fedrela.coordinator.monitoring import evaluation, history, metrics
from fedrela.coordinator.pages import charts
from fedrela.coordinator.storage import schema
from fedrela.coordinator.storage.clock import JUMP_SECONDS
from fedrela.core.errors import Refused

HERE = Path(__file__).parent
STATIC = ("dashboard.css", "dashboard.js")
STRAGGLERS = ("compute-lease-expired", "upload-lease-expired")
LISTED_DEVICES = 200
LEFT_OUT_ROUNDS = 10  # the newest, whose devices that were left out are named
POLL_SECONDS = 1.0
EVENT_SECONDS = 8.0  # then the browser connects again; a server that is told to stop waits no longer than this
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
CHART_HEADERS = {  # a drawing has its style in itself
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
templates = Environment(
    loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


async def signed_in(request: Request) -> bool:
    """Whether the request carries a session that is valid and was not logged out."""
    coordinator, cookie = coordinator_of(request), request.cookies.get(session.COOKIE, "")
    if not session.valid(cookie, coordinator.settings.admin_key, time.time()):
        return False
    if await in_thread(session.has_ended, coordinator.store, cookie):
        return False
    proved(request)
    return True


async def require_session(request: Request) -> None:
    """Raise Refused(401) unless the operator has logged in."""
    if not await signed_in(request):
        raise Refused("you are not logged in", remedy="log in at /", code="unauthenticated", status=401)


router = APIRouter(include_in_schema=False)
inside = [Depends(require_session)]


def page(name: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A template as the answer."""
    return HTMLResponse(templates.get_template(name).render(**values), status, HEADERS)


@router.get("/")
async def home(request: Request) -> Response:
    """Every task, token and device; or the login."""
    if not await signed_in(request):
        return page("login.html", problem="")
    coordinator = coordinator_of(request)
    return page("home.html", **await in_thread(overview, coordinator))


@router.get("/dashboard/tasks/{task_id}", dependencies=inside)
async def show_task(request: Request, task_id: str) -> Response:
    """One task and its rounds."""
    return page("task.html", **await in_thread(task_view, coordinator_of(request), task_id))


@router.get("/dashboard/tasks/{task_id}/live", dependencies=inside)
async def live_part(request: Request, task_id: str) -> Response:
    """The part of a task's page that changes."""
    return page("task_live.html", **await in_thread(task_view, coordinator_of(request), task_id))


@router.get("/dashboard/overview/live", dependencies=inside)
async def live_overview(request: Request) -> Response:
    """The part of the first page that changes."""
    return page("home_live.html", **await in_thread(overview, coordinator_of(request)))


@router.get("/dashboard/tasks/{task_id}/{kind}.svg", dependencies=inside)
async def chart(request: Request, task_id: str, kind: str) -> Response:
    """A chart of a task's rounds."""
    if kind not in charts.SERIES:
        raise Refused("there is no such chart", remedy="open the task's page", code="unknown-chart", status=404)
    records = await in_thread(history.rounds, coordinator_of(request), task_id)
    drawn = await in_thread(charts.rounds_chart, records, kind)
    return Response(drawn, media_type="image/svg+xml", headers=CHART_HEADERS)


@router.get("/dashboard/events", dependencies=inside)
async def events(request: Request) -> Response:
    """Server-sent events: one whenever something changed, so that a page fetches its live part again."""
    coordinator = coordinator_of(request)

    async def changes() -> AsyncIterator[str]:
        seen, until = "", time.monotonic() + EVENT_SECONDS
        yield "retry: 500\n\n"
        while time.monotonic() < until and not await request.is_disconnected():
            figures = [await in_thread(history.tasks, coordinator), await in_thread(evaluation.state, coordinator)]
            state = hashlib.sha256(json.dumps(figures).encode()).hexdigest()[:16]
            yield f"data: {state}\n\n" if state != seen else ": nothing new\n\n"
            seen = state
            await asyncio.sleep(POLL_SECONDS)

    return StreamingResponse(changes(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


@router.get("/dashboard/static/{name}")
async def static(name: str) -> Response:
    """Style and script."""
    if name not in STATIC:
        raise Refused("there is no such file", remedy="open /", code="unknown-file", status=404)
    return FileResponse(HERE / "static" / name, headers={"Cache-Control": "no-cache"})


def overview(coordinator: Coordinator) -> dict[str, Any]:
    """What the first page shows."""
    enrolled = sa.select(sa.func.count()).select_from(schema.devices).where(schema.devices.c.revoked_at.is_(None))
    with coordinator.store.read() as view:
        device_count = view.scalar(enrolled)
    return {
        "tasks": history.tasks(coordinator),
        "tokens": history.tokens(coordinator),
        "devices": history.devices(coordinator, LISTED_DEVICES, ""),
        "device_count": device_count,
        "refused": refused_updates(),
        "skew": skew(coordinator),
        "now": coordinator.store.now(),
    }


def task_view(coordinator: Coordinator, task_id: str) -> dict[str, Any]:
    """What a task's page shows: exactly the records of the admin API, and their sums. Raises Refused(404)."""
    record, rounds = history.task(coordinator, task_id), history.rounds(coordinator, task_id)
    failures: dict[str, int] = {}
    for item in rounds:
        for code, count in item["failures"].items():
            failures[code] = failures.get(code, 0) + count
    return {
        "task": record,
        "rounds": rounds[::-1],
        "failures": dict(sorted(failures.items())),
        "left_out": dict([one for item in rounds[-LEFT_OUT_ROUNDS:] for one in item["left_out"].items()]),
        "stragglers": sum(failures.get(code, 0) for code in STRAGGLERS),
        "update_bytes": sum(item["update_bytes"] for item in rounds),
        "checkpoint_bytes": sum(item["checkpoint_bytes"] for item in rounds),
        "evaluated": any(item["evaluation"] or item["accuracy"] for item in rounds),
        "newest_evaluated": newest_evaluated(rounds),
        "stamp": hashlib.sha256(json.dumps(rounds).encode()).hexdigest()[:16],  # so that charts are drawn anew
        "now": coordinator.store.now(),
    }


def newest_evaluated(rounds: list[history.Record]) -> history.Record | None:
    """The newest round that was evaluated on the operator's test set."""
    return next((item for item in reversed(rounds) if item["accuracy"]), None)


def skew(coordinator: Coordinator) -> float | None:
    """Seconds that this machine's clock is ahead of the coordinator's time, where that is worth a word."""
    ahead = coordinator.store.clock.skew_seconds
    return None if coordinator.settings.virtual_clock or abs(ahead) <= JUMP_SECONDS else ahead


def refused_updates() -> dict[str, int]:
    """Problem code -> updates refused since this process started."""
    samples = next(iter(metrics.UPDATES_REFUSED.collect())).samples
    return {item.labels["code"]: int(item.value) for item in samples if item.name.endswith("_total")}


def clock(seconds: float | None) -> str:
    """A time of the coordinator's clock, in UTC."""
    return "–" if seconds is None else time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))


def size(count: int) -> str:
    """Bytes in decimal units."""
    if count < 1000:
        return f"{count} B"
    return f"{count / 1e3:.1f} kB" if count < 1e6 else f"{count / 1e6:.1f} MB"


def percent(share: float | None) -> str:
    """A share as the pages print it."""
    return "–" if share is None else f"{100 * share:.1f} %"


templates.filters |= {"percent": percent, "clock": clock, "size": size}
