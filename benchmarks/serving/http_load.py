"""A load of HTTP requests that costs little itself: prepared bytes on keep-alive connections, one process, no library.

`flat_out` asks as fast as it is answered; `at_rate` asks at fixed times, so that a slow answer delays nobody else's
question, and counts latency from when a request was due.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import uvloop

CONNECTIONS = 32  # opened before the clock starts; `at_rate` opens more where all are busy


@dataclass
class Answers:
    """What came back. Latencies in seconds; an error is any status of 300 or more."""

    latencies: list[float] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    bodies: dict[int, bytes] = field(default_factory=dict)  # by the request's index
    seconds: float = 0.0

    @property
    def errors(self) -> int:
        """How many were refused or failed."""
        return sum(status >= 300 for status in self.statuses)


Request = Sequence[bytes]  # the pieces of a whole message
Prepare = Callable[[int], Request]


class Connection(asyncio.Protocol):
    """One connection with one request under way at a time, and just enough of HTTP/1.1 to know where an answer ends."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own is no subclass

    def data_received(self, data: bytes) -> None:
        """Complete the answer once all of it is here."""
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0 or self._answer is None:
            return
        at = self._buffer.find(b"content-length: ", 0, head)
        length = int(self._buffer[at + 16 : self._buffer.index(b"\r", at)]) if at > 0 else 0
        if len(self._buffer) >= head + 4 + length:
            answer, self._answer = self._answer, None
            answer.set_result((int(self._buffer[9:12]), bytes(self._buffer[head + 4 : head + 4 + length])))
            self._buffer.clear()

    def connection_lost(self, exc: Exception | None) -> None:
        """An answer that never came is an error like any other."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((599, b""))

    def ask(self, request: Request) -> "asyncio.Future[tuple[int, bytes]]":
        """Send one request."""
        self._answer = asyncio.get_running_loop().create_future()
        if self._transport.is_closing():
            self._answer.set_result((599, b""))
        else:
            self._transport.writelines(request)
        return self._answer


async def connect(port: int) -> Connection:
    """One open connection."""
    _, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", port)
    return connection


def message(method_and_path: str, body: bytes | None = None, length: int = 0, **headers: str) -> bytes:
    """A request's head, followed by its body where that is given and not sent as further pieces of `length` bytes."""
    lines = [f"{method_and_path} HTTP/1.1", "host: localhost"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines.append(f"content-length: {length if body is None else len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


async def flat_out(port: int, prepare: Prepare, count: int, at_a_time: int, seconds: float = 1e9) -> Answers:
    """At most `count` requests within `seconds`; `at_a_time` connections ask again as soon as they are answered."""
    answers = Answers()
    waiting = iter(range(count))
    connections = [await connect(port) for _ in range(at_a_time)]
    began = time.perf_counter()

    async def one(connection: Connection) -> None:
        for index in waiting:
            started = time.perf_counter()
            status, body = await connection.ask(prepare(index))
            now = time.perf_counter()
            answers.latencies.append(now - started)
            answers.statuses.append(status)
            answers.bodies[index] = body
            if now - began > seconds:
                return

    await asyncio.gather(*map(one, connections))
    answers.seconds = time.perf_counter() - began
    return answers


async def at_rate(port: int, prepare: Prepare, count: int, per_second: float) -> Answers:
    """`count` requests, number i due at i / per_second."""
    answers = Answers()
    idle = deque([await connect(port) for _ in range(CONNECTIONS)])
    began = time.perf_counter()

    async def one(index: int, due: float) -> None:
        connection = idle.popleft() if idle else await connect(port)
        status, _ = await connection.ask(prepare(index))
        answers.latencies.append(time.perf_counter() - due)
        answers.statuses.append(status)
        idle.append(connection)

    async with asyncio.TaskGroup() as asked:
        for index in range(count):
            due = began + index / per_second
            if (early := due - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            asked.create_task(one(index, due))
    answers.seconds = time.perf_counter() - began
    return answers


def run(load: Coroutine[Any, Any, Answers]) -> Answers:
    """Run one load in this process."""
    return uvloop.run(load)
