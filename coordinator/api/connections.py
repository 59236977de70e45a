"""Connections as uvicorn keeps them, with limits of our own: headers, bodies and readers that are too slow, and
strangers by address.

uvicorn closes idle connections and no others: one that never ends its headers, drips a body or reads no answer would
stay for ever. `guard` puts a protocol class of ours before uvicorn's when serving begins, whichever it is (httptools or
h11) and however it was started; a watch looks at every connection once a second.

    TLS handshake   has `header_seconds`; its connection is counted after it
    request head    has `header_seconds` and 64 KiB, from the connection's start or its first byte
    body            comes at 4 KiB/s at least, after `stall_seconds`; read or only drained after an early answer
    reader          takes what uvicorn's buffer holds (64 KiB) within `stall_seconds`
    strangers       at most so many connections of one address from which no valid credentials have come

A connection counts for its peer's address; while it carries a request that a trusted proxy forwards, for the address
that the proxy names. Which proxies are trusted is uvicorn's `--forwarded-allow-ips`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.lifespan.on import LifespanOn

from fedrela.coordinator.api import limits
from fedrela.coordinator.api.limits import network_of
from fedrela.coordinator.api.problems import TooMany

MAX_HEAD_BYTES = 64 * 1024  # of which the application takes a quarter: beyond that it answers 431
MIN_BODY_BYTES_PER_SECOND = 4096.0
WATCH_SECONDS = 1.0
SCOPE_KEY = "fedrela.connection"


@dataclass(frozen=True)
class ConnectionLimits:
    """What a connection may cost; `strangers_per_address` 0: no limit."""

    header_seconds: float
    stall_seconds: float
    strangers_per_address: int


class Connections:
    """The open connections of a process, and which of them are strangers'."""

    def __init__(self, allowed: ConnectionLimits) -> None:
        self.limits = allowed
        self.open: set[GuardedConnection] = set()
        self._strangers: dict[str, set[GuardedConnection]] = {}

    def add_stranger(self, address: str, connection: "GuardedConnection") -> bool:
        """Count a connection for an address; False, and it is not counted, where that has too many."""
        strangers = self._strangers.setdefault(address, set())
        if 0 < self.limits.strangers_per_address <= len(strangers):
            return False
        strangers.add(connection)
        return True

    def remove_stranger(self, address: str, connection: "GuardedConnection") -> None:
        """Count it no more."""
        strangers = self._strangers.get(address, set())
        strangers.discard(connection)
        if not strangers:
            self._strangers.pop(address, None)

    async def watch(self) -> None:
        """Close, once a second, every connection that is overdue; never returns."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            for connection in [one for one in self.open if one.overdue(loop.time())]:
                connection.transport.abort()


class GuardedConnection(asyncio.Protocol):
    """What comes before uvicorn's own class; an instance is also what requests find in their scope (`of`)."""

    guarded_by: Connections
    app: Any
    transport: asyncio.Transport
    flow: Any
    cycle: Any  # of the newest request: uvicorn's RequestResponseCycle

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._serve, self.app = self.app, self._with_this_connection
        self._clock = asyncio.get_running_loop().time
        self._peer = ""  # an address; empty for a Unix socket, which only programs of this machine reach
        self._stranger_of: str | None = None
        self._proved = False
        self._awaiting_since: float | None = None  # a request's head; None while there is a request
        self._begun_at = 0.0  # the newest request
        self._received_bytes = 0  # since the one or the other
        self._unread_since: float | None = None
        self._closing_since: float | None = None

    async def _with_this_connection(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._awaiting_since, self._begun_at, self._received_bytes = None, self._clock(), 0
        scope[SCOPE_KEY] = self
        await self._serve(scope, receive, send)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it; a stranger too many is cut off at once."""
        super().connection_made(transport)
        self.guarded_by.open.add(self)
        self._awaiting_since = self._clock()
        peer = transport.get_extra_info("peername")
        self._peer = network_of(peer[0]) if isinstance(peer, tuple) else ""
        if self._peer and not self._count_for(self._peer):
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self.guarded_by.open.discard(self)
        self._count_for(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass the bytes on, and note whether they are of a request that is being answered."""
        super().data_received(data)
        if self._request_is_open():
            self._received_bytes += len(data)
            return
        if self._awaiting_since is None:
            self._awaiting_since, self._received_bytes = self._clock(), 0
        self._received_bytes += len(data)
        if self._received_bytes > MAX_HEAD_BYTES and not self._drains():
            self.transport.abort()

    def pause_writing(self) -> None:
        """The buffer is full."""
        self._unread_since = self._clock()
        super().pause_writing()

    def resume_writing(self) -> None:
        """The reader took most of it."""
        self._unread_since = None
        super().resume_writing()

    def overdue(self, now: float) -> bool:
        """Whether the other side has kept this connection waiting for too long."""
        allowed = self.guarded_by.limits
        if self._unread_since is not None and now - self._unread_since > allowed.stall_seconds:
            return True
        if self.transport.is_closing():
            self._closing_since = now if self._closing_since is None else self._closing_since
            return now - self._closing_since > allowed.stall_seconds
        for_bytes = self._received_bytes / MIN_BODY_BYTES_PER_SECOND
        if self._request_is_open():
            body_is_due = self.cycle.more_body and not self.flow.read_paused
            return bool(body_is_due and now - self._begun_at > allowed.stall_seconds + for_bytes)
        if self._awaiting_since is None:
            return False  # idle: uvicorn's keep-alive time runs
        return now - self._awaiting_since > allowed.header_seconds + (for_bytes if self._drains() else 0.0)

    def begin_request(self, address: str) -> None:
        """A request of `address` begins. Raises TooMany where a proxy forwards one stranger too many."""
        network = network_of(address)
        if network in (self._peer, limits.UNKNOWN_ADDRESS):
            return
        self._proved = False  # a proxy's connections serve one client after the other
        if not self._count_for(network):
            raise TooMany(
                "too many connections at this moment", remedy="try again soon", retry_after_seconds=2.0, status=503
            )

    def end_request(self) -> None:
        """A forwarded request ends: an idle connection of a proxy is nobody's."""
        if self._stranger_of != self._peer:
            self._count_for(None)

    def prove(self) -> None:
        """Valid credentials came over this connection."""
        self._proved = True
        self._count_for(None)

    def _count_for(self, address: str | None) -> bool:
        if self._stranger_of is not None and self._stranger_of != address:
            self.guarded_by.remove_stranger(self._stranger_of, self)
            self._stranger_of = None
        if address is None or self._proved or self._stranger_of == address:
            return True
        counted = self.guarded_by.add_stranger(address, self)
        self._stranger_of = address if counted else None
        return counted

    def _request_is_open(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _drains(self) -> bool:
        """Whether what comes is the rest of a body that was answered before its end."""
        return self.cycle is not None and bool(self.cycle.more_body)


def of(scope: Scope) -> GuardedConnection | None:
    """The connection of a request; None where it came through none of uvicorn's."""
    connection: GuardedConnection | None = scope.get(SCOPE_KEY)
    return connection


def uvicorn_config(receive: Receive) -> Config | None:
    """The settings of the uvicorn that calls an application's lifespan; None where another program does.

    `receive` is a method of uvicorn's `LifespanOn`, which holds them. No public way leads there, and only the settings
    name the class of the connections to come.
    """
    caller = getattr(receive, "__self__", None)
    return caller.config if isinstance(caller, LifespanOn) else None


@asynccontextmanager
async def guard(config: Config | None, allowed: ConnectionLimits) -> AsyncIterator[None]:
    """Within it, uvicorn's new connections are guarded. Enter it before uvicorn listens: in the lifespan."""
    if config is None:
        yield
        return
    connections, base = Connections(allowed), config.http_protocol_class
    config.http_protocol_class = type(base.__name__, (GuardedConnection, base), {"guarded_by": connections})
    if config.ssl is not None:  # uvicorn asks for no time of its own, and has no other place for it
        loop = asyncio.get_running_loop()
        in_time = partial(loop.create_server, ssl_handshake_timeout=allowed.header_seconds)
        loop.create_server = in_time  # type: ignore[method-assign]
    watch = asyncio.create_task(connections.watch(), name="connections")
    try:
        yield
    finally:
        watch.cancel()
