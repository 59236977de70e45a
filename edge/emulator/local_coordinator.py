"""A coordinator for the length of one emulation: a process of its own on loopback, or an application in this process.

The coordinator package is never imported by name in code that a device runs: as a process it is started with uvicorn,
in-process it is looked up when asked for. May import httpx and `core`.

    with started(folder) as (url, admin_key, transport_factory):
        ...
"""

import asyncio
import importlib
import logging
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from core.errors import MissingDependency, Unavailable

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0


@contextmanager
def process(folder: Path, *, virtual_clock: bool = True) -> Iterator[tuple[str, str, int]]:
    """(url, admin key, process id) of a new coordinator with its data in `folder`; ended when the context is left."""
    environment, admin_key = _environment(folder, virtual_clock)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "uvicorn", "coordinator.app:app", "--port", str(port)]
    with (folder / "coordinator.log").open("wb") as log:
        child = subprocess.Popen(
            [*command, "--no-access-log", "--log-level", "warning"],
            env={**os.environ, **environment},
            stdout=log,
            stderr=log,
        )
        try:
            _wait_until_ready(url, child, folder / "coordinator.log")
            yield url, admin_key, child.pid
        finally:
            child.terminate()
            try:
                child.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


@contextmanager
def in_process(folder: Path) -> Iterator[tuple[str, str, httpx.BaseTransport]]:
    """(url, admin key, transport) of a coordinator that lives in this process and is spoken to without a network."""
    environment, admin_key = _environment(folder, virtual_clock=True)
    try:
        create_app = importlib.import_module("coordinator.app").create_app
        settings = importlib.import_module("coordinator.settings").Settings.from_environment(environment)
    except ModuleNotFoundError as error:
        raise MissingDependency(
            f"a coordinator in this process needs {error.name}", remedy="run: pip install 'fedrela[coordinator]'"
        ) from error
    application = AsgiTransport(create_app(lambda: settings))
    application.start()
    try:
        yield "http://coordinator.invalid", admin_key, application
    finally:
        application.stop()


class AsgiTransport(httpx.BaseTransport):
    """Requests straight into an ASGI application, whose event loop runs in a thread of its own."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="coordinator", daemon=True)

    def start(self) -> None:
        """Start the event loop, then the application."""
        self._thread.start()
        self._transport = httpx.ASGITransport(self._app)
        self._lifespan = self._app.router.lifespan_context(self._app)
        asyncio.run_coroutine_threadsafe(self._lifespan.__aenter__(), self._loop).result()
        logging.getLogger("fedrela").setLevel(logging.WARNING)  # this process's terminal belongs to the emulation

    def stop(self) -> None:
        """End both."""
        asyncio.run_coroutine_threadsafe(self._lifespan.__aexit__(None, None, None), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Run the application on one request, to the end."""
        return asyncio.run_coroutine_threadsafe(self._answer(request), self._loop).result()

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        body = request.read()
        forwarded = httpx.Request(request.method, request.url, headers=request.headers, content=body)
        response = await self._transport.handle_async_request(forwarded)
        content = await response.aread()
        return httpx.Response(response.status_code, headers=response.headers, stream=httpx.ByteStream(content))


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _environment(folder: Path, virtual_clock: bool) -> tuple[Mapping[str, str], str]:
    folder.mkdir(parents=True, exist_ok=True)
    admin_key = secrets.token_hex(32)
    return {
        "FEDRELA_DEV": "1",
        "FEDRELA_DATA": str(folder),
        "FEDRELA_ADMIN_KEY": admin_key,
        "FEDRELA_VIRTUAL_CLOCK": "1" if virtual_clock else "0",
        "FEDRELA_DATABASE_URL": "",
        "FEDRELA_BLOBS_URL": "",
        "FEDRELA_SIGNING_KEY": "",
    }, admin_key


def _wait_until_ready(url: str, child: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    with httpx.Client(trust_env=False, verify=False) as http:  # plain HTTP on loopback
        while time.monotonic() < deadline and child.poll() is None:
            with suppress(httpx.TransportError):
                if http.get(url + "/readyz").status_code == 200:
                    return
            time.sleep(0.05)
    lines = log.read_text(errors="replace").strip().splitlines()
    raise Unavailable(
        f"the coordinator did not start ({lines[-1] if lines else 'it said nothing'})",
        remedy=f"see {log}; `pip install 'fedrela[coordinator]'` brings what it needs",
    )
