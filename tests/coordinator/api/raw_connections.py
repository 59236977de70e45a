"""Connections that a test opens, half uses and watches; each may come from an address of its own."""

import re
import socket
import time
from collections.abc import Iterable

import psutil

from fedrela.core.protocol import signed_requests
from tests.coordinator import fleet
from tests.patience import PATIENCE_SECONDS


def connect(port: int, source: str = "127.0.0.1", *, receive_buffer_bytes: int = 0) -> socket.socket:
    """A connection from an address of this machine; all of 127.0.0.0/8 are."""
    connection = socket.socket()
    if receive_buffer_bytes:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
    connection.settimeout(PATIENCE_SECONDS)
    connection.bind((source, 0))
    connection.connect(("127.0.0.1", port))
    return connection


def is_closed(connection: socket.socket) -> bool:
    """Whether the server has ended a connection on which it has nothing to say."""
    connection.settimeout(0.0)
    try:
        return connection.recv(65536) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def count_closed(connections: Iterable[socket.socket]) -> int:
    """How many of them the server has ended."""
    return sum(is_closed(connection) for connection in connections)


def wait_until_closed(connections: list[socket.socket], seconds: float) -> int:
    """Wait until all are closed, at most so long; how many are still open then."""
    until = time.monotonic() + seconds
    waiting = connections
    while waiting and time.monotonic() < until:
        waiting = [connection for connection in waiting if not is_closed(connection)]
        time.sleep(0.05)
    return len(waiting)


def peer_ports(process: psutil.Process) -> set[int]:
    """The other ends of the connections that a server holds open."""
    return {connection.raddr.port for connection in process.net_connections("tcp") if connection.raddr}


def send_slowly(connection: socket.socket, pieces: Iterable[bytes], pause_seconds: float) -> None:
    """Send piece by piece. Raises ConnectionError once the server has ended the connection."""
    for piece in pieces:
        connection.sendall(piece)
        time.sleep(pause_seconds)


def answer(connection: socket.socket) -> bytes:
    """The next answer, or what came of it before the server ended the connection."""
    connection.settimeout(PATIENCE_SECONDS)
    received = b""
    while not _is_whole(received):
        try:
            piece = connection.recv(65536)
        except ConnectionError:
            break
        if not piece:
            break
        received += piece
    return received


def _is_whole(received: bytes) -> bool:
    head, ended, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: (\d+)", head, re.IGNORECASE)
    return bool(ended) and (length is None or len(body) >= int(length[1]))


def has_answer(connection: socket.socket) -> bool:
    """Whether something has come, or the server ended the connection."""
    connection.settimeout(0.0)
    try:
        connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    return True


def request(method: str, path: str, *headers: str) -> bytes:
    """The head of a request."""
    lines = (f"{method} {path} HTTP/1.1", "Host: x", *headers)
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def signed(device: fleet.Device, method: str, path: str, body: bytes) -> list[str]:
    """The headers of a device's request: its token, and its signature over a body that may never come whole."""
    added = signed_requests.headers(device.private_key, method, path, body)
    return [f"Authorization: Bearer {device.token}", *(f"{name}: {value}" for name, value in added.items())]
