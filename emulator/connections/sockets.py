"""Requests over HTTP/1.1 to a coordinator elsewhere, many at once from one thread.

The standard library's client sends a request and reads its answer in two calls; between them the thread may do
something else. So a worker's devices share a few connections without a thread for each.

    transport = SocketTransport("http://127.0.0.1:8470")
    transport.begin(request, answers.append)
    transport.collect(wait=True)
"""

import base64
import os
import select
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import unquote
from urllib.request import getproxies

import httpx

from fedrela.core.environment import network_settings
from fedrela.core.errors import InvalidInput
from fedrela.emulator.connections.minimal_http import Answered, ConcurrentTransport, answer

CONNECTIONS = 16  # requests under way at once, at most
TIMEOUT_SECONDS = 120.0
IDLE_SECONDS = 2.0  # a connection is given up before the coordinator closes it: uvicorn does after 5 s


@dataclass
class _Idle:
    connection: HTTPConnection
    since: float


@dataclass(frozen=True)
class _Request:
    request: httpx.Request
    answered: Answered


@dataclass(frozen=True)
class _Way:
    """How connections are made; a proxy for plain HTTP is told whole addresses, with `headers` of its own."""

    connect: Callable[[], HTTPConnection]
    whole_address: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


class SocketTransport(ConcurrentTransport):
    """Over connections of its own, all to the host of `url` or to the HTTP proxy before it.

    Raises InvalidInput for a proxy of another kind.
    """

    def __init__(self, url: str, proxy: str = "") -> None:
        self._way = _way(httpx.URL(url), proxy)
        self._idle: list[_Idle] = []
        self._waiting: deque[_Request] = deque()  # for a connection
        self._under_way: dict[int, tuple[HTTPConnection, _Request]] = {}  # by file descriptor
        self._failed: list[tuple[_Request, httpx.TransportError]] = []
        self._poll = select.poll()

    def begin(self, request: httpx.Request, answered: Answered) -> None:
        """See `ConcurrentTransport.begin`."""
        self._waiting.append(_Request(request, answered))
        self._send()

    def collect(self, *, wait: bool) -> None:
        """See `ConcurrentTransport.collect`."""
        failed, self._failed = self._failed, []
        for sent, fault in failed:
            sent.answered(fault)
        if not self._under_way:
            return
        seconds = TIMEOUT_SECONDS if wait and not failed else 0.0
        ready = self._poll.poll(seconds * 1000)
        if seconds and not ready:
            ready = [(descriptor, 0) for descriptor in self._under_way]
        for descriptor, events in ready:
            self._receive(descriptor, arrived=bool(events))
        self._send()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """One request to its end. Raises httpx.TransportError."""
        answers: list[httpx.Response | BaseException] = []
        self.begin(request, answers.append)
        while not answers:
            self.collect(wait=True)
        if isinstance(answers[0], BaseException):
            raise answers[0]
        return answers[0]

    def close(self) -> None:
        """Close every connection."""
        for idle in self._idle:
            idle.connection.close()
        for connection, _ in self._under_way.values():
            connection.close()

    def _send(self) -> None:
        """Send what waits, as far as there are connections."""
        while self._waiting and len(self._under_way) < CONNECTIONS:
            sent = self._waiting.popleft()
            connection = self._connection()
            try:
                _write(connection, sent.request, self._way)
            except (OSError, HTTPException) as fault:
                connection.close()
                self._failed.append((sent, httpx.ConnectError(str(fault), request=sent.request)))
                continue
            descriptor = connection.sock.fileno()
            self._under_way[descriptor] = (connection, sent)
            self._poll.register(descriptor, select.POLLIN)

    def _receive(self, descriptor: int, *, arrived: bool) -> None:
        """Read the answer on a connection; nothing has come on it in time if not `arrived`."""
        self._poll.unregister(descriptor)
        connection, sent = self._under_way.pop(descriptor)
        try:
            if not arrived:
                raise TimeoutError(f"no answer within {TIMEOUT_SECONDS:.0f} seconds")
            response = connection.getresponse()
            whole = answer(response.status, response.getheaders(), response.read())
        except (OSError, HTTPException) as fault:
            connection.close()
            sent.answered(httpx.ReadError(f"{type(fault).__name__}: {fault}", request=sent.request))
            return
        if connection.sock is not None:  # else the coordinator closes it
            self._idle.append(_Idle(connection, time.monotonic()))
        sent.answered(whole)

    def _connection(self) -> HTTPConnection:
        """The one that was used last, if it is still good."""
        while self._idle:
            idle = self._idle.pop()
            if time.monotonic() - idle.since < IDLE_SECONDS:
                return idle.connection
            idle.connection.close()
        return self._way.connect()


def by_network_settings(url: str) -> SocketTransport:
    """To a coordinator elsewhere, through this machine's proxy. Raises as `network_settings.reached` does."""
    return network_settings.reached(url, getproxies(), os.environ, lambda proxy: SocketTransport(url, proxy))


def _way(url: httpx.URL, proxy: str) -> _Way:
    between = httpx.URL(proxy) if proxy else url
    if proxy and between.scheme != "http":
        raise InvalidInput(
            f"emulated devices know no {between.scheme} proxy",
            remedy="name an HTTP proxy, or the coordinator's host in NO_PROXY",
        )
    host, port = between.host, between.port or (80 if proxy else None)
    headers = {"Proxy-Authorization": f"Basic {_basic(between)}"} if proxy and between.userinfo else {}
    if url.scheme != "https":
        return _Way(lambda: HTTPConnection(host, port, timeout=TIMEOUT_SECONDS), bool(proxy), headers)
    trusted = httpx.create_ssl_context()  # once: reading the certificates takes a while

    def connect() -> HTTPConnection:
        connection = HTTPSConnection(host, port, timeout=TIMEOUT_SECONDS, context=trusted)
        if proxy:
            connection.set_tunnel(url.host, url.port, headers=headers)
        return connection

    return _Way(connect)


def _basic(proxy: httpx.URL) -> str:
    return base64.b64encode(unquote(proxy.userinfo.decode("ascii")).encode()).decode()


def _write(connection: HTTPConnection, request: httpx.Request, way: _Way) -> None:
    target = str(request.url) if way.whole_address else request.url.raw_path.decode("ascii")
    connection.putrequest(request.method, target, skip_host=True, skip_accept_encoding=True)
    for own, text in way.headers.items():
        connection.putheader(own, text)
    for name, value in request.headers.raw:
        connection.putheader(name, value)
    connection.endheaders(request.read() or None)
