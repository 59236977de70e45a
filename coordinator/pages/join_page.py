"""The phone page at `/join/`, and what it may know before its owner agrees: the open tasks of a population.

The page is static and self-contained; its strict headers are set here. `GET /v1/tasks` takes the enrollment token of a
link, or a device's token and signature, so that the page can name every program and size before anything is enrolled.
"""

import mimetypes
import re
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, RedirectResponse, Response

from fedrela.coordinator.access import auth, devices
from fedrela.coordinator.api import openapi
from fedrela.coordinator.api.requests import coordinator_of, credentials, json_response, proved
from fedrela.coordinator.api.threads import in_thread
from fedrela.coordinator.context import Coordinator, parse_seal
from fedrela.coordinator.storage import blobs, schema
from fedrela.core.errors import MissingDependency, Refused
from fedrela.core.protocol.seals import Seal

PAGE = Path(__file__).parent / "static" / "join"
# Nothing but this origin's own files: no inline script or style, no other host, no frame. WebAssembly may be compiled.
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Permissions-Policy": "geolocation=(), microphone=(), payment=(), usb=()",
}
HOW_TO_BUILD = "run `make web` (needs Node.js 20.19 or newer), or install a released wheel, which has it"
router = APIRouter(tags=["devices"])
# What a file of the page can be called. Nothing else is asked of the file system, which answers odd names with errors.
_NAME = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}/){0,3}[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")
mimetypes.add_type("text/javascript", ".mjs")
mimetypes.add_type("application/manifest+json", ".webmanifest")


def is_built() -> bool:
    """Whether this installation has the page."""
    return (PAGE / "index.html").is_file()


@dataclass(frozen=True)
class OpenTask:
    """A task that devices of a population can take part in, with the very bytes of its settings and manifest."""

    name: str
    status: str
    task: str  # JSON
    manifest: str  # JSON
    checkpoint_bytes: int
    seal: Seal  # of the publisher who vouches for the programs


@dataclass(frozen=True)
class OpenTasks:
    """Answer of `GET /v1/tasks`."""

    population: str
    tasks: tuple[OpenTask, ...]


@router.get("/v1/tasks", **openapi.route(security="any", gives={"type": "object"}, problems=(403,)))
async def open_tasks(request: Request) -> Response:
    """The tasks that a device may be asked to work on; with an enrollment token or a device token."""
    listed = await in_thread(_open_tasks, coordinator_of(request), request)
    proved(request)
    return json_response(listed)


@router.get("/join", include_in_schema=False)
async def to_page() -> Response:
    """One canonical address; browsers keep the fragment, which holds the link's secret."""
    return RedirectResponse("join/", 308)


@router.get("/join/{path:path}", include_in_schema=False)
async def page(request: Request, path: str) -> Response:
    """A file of the page, compressed where the browser takes it."""
    return await in_thread(_file, path or "index.html", request.headers.get("accept-encoding"))


def _file(path: str, accepts: str | None) -> Response:
    """`accepts`: the header Accept-Encoding; None, as where a proxy takes it away, accepts every encoding."""
    if not is_built():
        raise MissingDependency("the phone page has not been built", remedy=HOW_TO_BUILD)
    if not _NAME.fullmatch(path) or path.endswith(".br"):
        raise _no_such_file()
    file = PAGE / path
    small = file.with_name(file.name + ".br")
    named = [item.split(";")[0].strip() for item in (accepts or "").split(",")]
    takes_small = small.is_file() and ("br" in named or (accepts is None and not file.is_file()))
    if not (file.is_file() or takes_small):
        raise _takes_no_brotli() if small.is_file() else _no_such_file()
    headers = dict(HEADERS)
    # Built files have a hash in their name; the others are asked for again each time.
    headers["Cache-Control"] = "public, max-age=31536000, immutable" if path.startswith("assets/") else "no-cache"
    media = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    if small.is_file():
        headers["Vary"] = "Accept-Encoding"
    if takes_small:
        headers["Content-Encoding"] = "br"
        file = small
    return FileResponse(file, headers=headers, media_type=media)


def _takes_no_brotli() -> Refused:
    """The runtimes are there compressed alone. Browsers take Brotli over https, and from their own machine."""
    return Refused(
        "this file is there in Brotli's compression alone, and this browser doesn't take it",
        remedy="open the page by https",
        code="unknown-file",
        status=404,
    )


def _no_such_file() -> Refused:
    return Refused("there is no such file", remedy="open /join/", code="unknown-file", status=404)


def _open_tasks(coordinator: Coordinator, request: Request) -> OpenTasks:
    population = _population(coordinator, request)
    table = schema.tasks
    with coordinator.store.read() as view:
        task_rows = view.execute(
            sa.select(table)
            .where(table.c.population == population, table.c.status.in_(("running", "paused")))
            .order_by(table.c.created_at, table.c.id)
        ).all()
    return OpenTasks(
        population,
        tuple(
            OpenTask(
                row.name,
                row.status,
                row.task_json,
                blobs.needed(coordinator.blobs, blobs.public(row.manifest_sha256)).decode(),
                row.checkpoint_bytes,
                parse_seal(row.seal_json),
            )
            for row in task_rows
        ),
    )


def _population(coordinator: Coordinator, request: Request) -> str:
    """Of an enrollment token that still has a place, or of the device that signs. Raises Refused (401, 403)."""
    token_hash, tokens = auth.hash_token(auth.bearer(request.headers.get("authorization"))), schema.tokens
    with coordinator.store.read() as view:
        population = view.scalar(
            sa.select(tokens.c.population).where(
                tokens.c.token_hash == token_hash,
                tokens.c.revoked_at.is_(None),
                tokens.c.expires_at > coordinator.store.now(view),
                tokens.c.uses < tokens.c.max_uses,
            )
        )
        known = devices.identify_all(view, [token_hash]) if population is None else {}
    if population is not None:
        return str(population)
    if known:
        return credentials(request).of(known).population
    raise auth.bad_link()
