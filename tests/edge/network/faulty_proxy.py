"""A proxy that loses, repeats, cuts, delays and refuses a share of the requests between devices and a coordinator.

Plain sockets: one request per connection. Of every ten requests the same number meets a fault, at seeded places, and
every kind of fault comes once before any comes again: how many there are doesn't depend on chance, nor on how fast the
machine is.
"""

import random
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from tests.patience import PATIENCE_SECONDS

FAULTS = (
    "drop-request",  # never reaches the coordinator
    "drop-answer",  # reaches it, but the device never hears of it
    "duplicate",  # reaches it twice
    "cut-request",  # half of the body, then silence
    "cut-answer",  # half of the answer, then silence
    "shorten-answer",  # half of the answer's body, with a length that fits
    "delay",
    "refuse",  # 503
)
BLOCK = 10  # requests, of which `share` meet a fault
KEEP_ALIVE = re.compile(rb"connection: keep-alive", re.IGNORECASE)
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class FaultyProxy:
    """Forwards to `target`; `share` of the requests meet a fault. `faults` counts those that were made."""

    def __init__(self, target: str, share: float, seed: int) -> None:
        parts = urlsplit(target)
        self.target = (parts.hostname or "", parts.port or 80)
        self.faults, self.requests = Counter[str](), 0
        self.bodies: list[bytes] = []  # everything that devices sent, as it came over the wire
        self._schedule, self._lock = _schedule(share, seed), threading.Lock()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"

    def serve(self) -> None:
        """Accept until the server socket is closed."""
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._handle, args=(connection,), daemon=True).start()

    def close(self) -> None:
        """Stop accepting."""
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _draw(self) -> str:
        with self._lock:
            self.requests += 1
            fault = next(self._schedule)
            self.faults[fault] += bool(fault)
            return fault

    def _handle(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(PATIENCE_SECONDS)
            request = _read_message(connection)
            if not request:
                return
            fault = self._draw()
            with self._lock:
                self.bodies.append(request)
            if fault == "drop-request":
                return
            if fault == "refuse":
                connection.sendall(BUSY)
                return
            if fault == "delay":
                time.sleep(0.05)
            head, _, body = request.partition(b"\r\n\r\n")
            forwarded = head + b"\r\n\r\n" + (body[: len(body) // 2] if fault == "cut-request" else body)
            if fault == "duplicate":
                self._exchange(forwarded)
            answer = self._exchange(forwarded, cut=fault == "cut-request")
            if fault != "drop-answer":
                connection.sendall(_shortened(answer) if fault == "shorten-answer" else answer[: _cut(fault, answer)])

    def _exchange(self, request: bytes, *, cut: bool = False) -> bytes:
        with socket.create_connection(self.target, timeout=PATIENCE_SECONDS) as upstream:
            upstream.sendall(KEEP_ALIVE.sub(b"Connection: close", request))
            if cut:
                upstream.shutdown(socket.SHUT_WR)
            answer = b""
            while chunk := upstream.recv(65536):
                answer += chunk
            return answer


def _schedule(share: float, seed: int) -> Iterator[str]:
    """For ever, what befalls one request after the other: a fault's name, or nothing."""
    rng, deck = random.Random(seed), list[str]()
    while True:
        places = set(rng.sample(range(BLOCK), round(BLOCK * share)))
        for place in range(BLOCK):
            if place in places and not deck:
                deck = rng.sample(FAULTS, len(FAULTS))
            yield deck.pop() if place in places else ""


def _cut(fault: str, answer: bytes) -> int:
    return len(answer) // 2 if fault == "cut-answer" else len(answer)


def _shortened(answer: bytes) -> bytes:
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length")]
    half = body[: len(body) // 2]
    return b"\r\n".join([*lines, b"Content-Length: %d" % len(half)]) + b"\r\n\r\n" + half


def _read_message(connection: socket.socket) -> bytes:
    """One request: its head, and as much body as Content-Length says."""
    message = b""
    while b"\r\n\r\n" not in message:
        chunk = connection.recv(65536)
        if not chunk:
            return b""
        message += chunk
    head, _, body = message.partition(b"\r\n\r\n")
    lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    missing = (int(lengths[0].split(b":")[1]) if lengths else 0) - len(body)
    while missing > 0:
        chunk = connection.recv(65536)
        if not chunk:
            return b""
        message += chunk
        missing -= len(chunk)
    return message


@contextmanager
def faulty(target: str, *, share: float, seed: int) -> Iterator[FaultyProxy]:
    """Proxy to `target` until the block ends."""
    proxy = FaultyProxy(target, share, seed)
    thread = threading.Thread(target=proxy.serve, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join(PATIENCE_SECONDS)
