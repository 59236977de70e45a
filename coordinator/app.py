"""The HTTP application: `uvicorn fedrela.coordinator.app:app`. The store is opened when serving begins, not at import.

The routes are in `api/device_routes.py` and `api/admin_routes.py`; what they do is in `rounds/service.py`,
`rounds/tasks.py` and `access/devices.py`.

    >>> app.title
    'FedReLa Edge coordinator'
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from fastapi import Depends, FastAPI, Request
from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from fedrela.coordinator import context
from fedrela.coordinator.api import (
    admin_routes,
    connections,
    device_routes,
    openapi,
    operators,
    problems,
    secure_routes,
    starting,
    threads,
)
from fedrela.coordinator.api.connections import ConnectionLimits
from fedrela.coordinator.api.limits import RateLimit, UploadMemory
from fedrela.coordinator.api.middleware import RequestLimits
from fedrela.coordinator.api.readiness import Readiness
from fedrela.coordinator.api.requests import coordinator_of, plain
from fedrela.coordinator.api.threads import in_thread
from fedrela.coordinator.context import Coordinator
from fedrela.coordinator.monitoring import logs, metrics
from fedrela.coordinator.pages import api_page, dashboard, dashboard_actions, join_page
from fedrela.coordinator.rounds import group_commit
from fedrela.coordinator.rounds.batching import Batches
from fedrela.coordinator.rounds.housekeeping import HousekeepingThread
from fedrela.coordinator.settings import Settings
from fedrela.core.errors import FedRelaError

T = TypeVar("T")
R = TypeVar("R")


class Application(FastAPI):
    """FastAPI's, which notes by whom it is served: what is between would hide it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, or begin to. What keeps it from beginning is one line and its remedy, and no traceback."""
        if scope["type"] != "lifespan":
            await super().__call__(scope, receive, send)
            return
        self.state.uvicorn_config = connections.uvicorn_config(receive)
        start = starting.Start(send)
        try:
            await super().__call__(scope, receive, start.send)
        except FedRelaError as error:
            await start.failed(error, self.state.uvicorn_config)
            raise
        except BaseException:
            await start.failed(None, self.state.uvicorn_config)
            raise


def create_app(make_settings: Callable[[], Settings] = Settings.from_environment) -> FastAPI:
    """The application; its settings are read when serving begins."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        settings = make_settings()
        logs.install()
        threads.allow(settings.threads)
        app.state.device_rate = RateLimit(settings.requests_per_device_per_second)
        app.state.address_rate = RateLimit(settings.requests_per_address_per_second)
        app.state.wrong_keys = operators.wrong_keys()
        app.state.upload_memory = UploadMemory(settings.max_uploads_in_memory_bytes)
        allowed = ConnectionLimits(settings.header_seconds, settings.stall_seconds, settings.strangers_per_address)
        with context.connect(settings) as coordinator:
            app.state.coordinator = coordinator
            app.state.readiness = Readiness(coordinator)
            app.state.joining = _batches("joining", group_commit.check_ins, coordinator)
            app.state.beginning = _batches("beginning", group_commit.begin_uploads, coordinator)
            app.state.counting = _batches("counting", group_commit.accept_updates, coordinator)
            app.state.telling = _batches("telling", group_commit.secure_messages, coordinator)
            housekeeping_thread = None if settings.virtual_clock else HousekeepingThread(coordinator)
            if housekeeping_thread:
                housekeeping_thread.start()
            try:
                async with connections.guard(app.state.uvicorn_config, allowed):
                    yield
            finally:
                batches = (app.state.joining, app.state.beginning, app.state.counting, app.state.telling)
                for thread in (*batches, housekeeping_thread):
                    if thread:
                        await in_thread(thread.stop)

    app = Application(
        title="FedReLa Edge coordinator",
        version="1",
        description="Federated training of imbalanced classifiers on devices whose data stays private.",
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
    )
    app.include_router(device_routes.router)
    app.include_router(secure_routes.router)
    app.include_router(admin_routes.router)
    app.include_router(join_page.router)
    app.include_router(dashboard.router)
    app.include_router(dashboard_actions.router)
    app.include_router(api_page.router)
    _add_health(app)
    problems.install(app)
    openapi.install(app)
    app.state.uvicorn_config = None  # where the lifespan is entered by hand
    app.add_middleware(RequestLimits, state=app.state)
    return app


def _batches(
    name: str, work: Callable[[Coordinator, list[T], float], Sequence[R | Exception]], coordinator: Coordinator
) -> Batches[T, R]:
    """Requests that wait are done together, at the time at which their batch begins."""

    def work_now(waiting: list[T]) -> Sequence[R | Exception]:
        return work(coordinator, waiting, coordinator.store.now())

    return Batches(name, work_now, threaded=coordinator.settings.threads > 0)


def _add_health(app: FastAPI) -> None:
    @app.get("/healthz", tags=["health"], **openapi.route(gives={"type": "object"}))
    async def alive() -> Response:
        """The process answers."""
        return plain({"status": "ok"})

    @app.get("/readyz", tags=["health"], **openapi.route(gives={"type": "object"}))
    async def ready(request: Request) -> Response:
        """Database and blob store can do what the next request needs, too."""
        readiness: Readiness = request.app.state.readiness
        await readiness.check()
        return plain({"status": "ready"})

    @app.get(
        "/metrics",
        tags=["health"],
        dependencies=[Depends(admin_routes.require_admin)],
        **openapi.route(security="admin", gives="text/plain"),
    )
    async def prometheus(request: Request) -> Response:
        """Prometheus metrics, with the admin key as bearer token."""
        body, media = await in_thread(metrics.exposition, coordinator_of(request))
        return Response(body, media_type=media)


app = create_app()
