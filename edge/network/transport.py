"""Requests that are repeated until they succeed: the layer between a device's calls and an `httpx.Client`.

Whatever may be repeated safely is repeated, with exponential backoff and jitter: lost connections, answers that are cut
short or don't parse, 408, 425, 429 and 5xx; and 400 and 422, because our bodies are checked before they leave, so that
a malformed one was damaged on its way. Any other refusal is raised as `Refused` with the coordinator's code. No answer
is decompressed or read beyond its limit.

    >>> Retry(base_seconds=1.0).wait_seconds(attempt=3, uniform=0.5)
    6.0
"""

import random
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import httpx

from fedrela.core import strict
from fedrela.core.environment import network_settings
from fedrela.core.errors import FedRelaError, InvalidMessage, Refused, Unavailable
from fedrela.core.protocol import signed_requests
from fedrela.core.wire import Problem

T = TypeVar("T")

ANSWER_BYTES = 1_000_000  # no JSON answer is longer
SUCCESS = (200, 201, 204, 206)
REDIRECTS = range(300, 400)
TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
DAMAGED = (400, 422)
PART_BYTES = 1 << 18  # of a large body that goes at once: whoever sends copies what is left of it again and again
LONGEST_WISH_SECONDS = 300.0  # a coordinator can't ask for a longer pause between two attempts


@dataclass(frozen=True)
class Retry:
    """When to try again: attempt k waits min(cap, base * 2^k) seconds, times a random factor from 0.5 to 1."""

    attempts: int = 6
    base_seconds: float = 0.5
    cap_seconds: float = 30.0

    def wait_seconds(self, attempt: int, uniform: float) -> float:
        """The pause after failed attempt `attempt`, counted from 0; `uniform` in [0, 1)."""
        return min(self.cap_seconds, self.base_seconds * 2.0 ** min(attempt, 30)) * (0.5 + 0.5 * uniform)


class TryAgain(Exception):
    """A fault that may pass. `after_seconds`: what the coordinator asked for."""

    def __init__(self, problem: str, after_seconds: float = 0.0) -> None:
        super().__init__(problem)
        self.after_seconds = after_seconds


@dataclass(frozen=True)
class Sent:
    """One request that left the device: for its owner's log. Headers, and so tokens, are not in it."""

    method: str
    path: str
    body: bytes | bytearray


@dataclass(frozen=True)
class Parts:
    """A large body in parts, so that it is in memory once."""

    body: bytes | bytearray

    def __iter__(self) -> Iterator[bytes]:
        whole = memoryview(self.body)
        for start in range(0, len(whole), PART_BYTES):
            yield bytes(whole[start : start + PART_BYTES])


class Http(Protocol):
    """What is needed of an `httpx.Client`."""

    def stream(
        self, method: str, url: str, *, content: bytes | Iterable[bytes] | None, headers: dict[str, str]
    ) -> AbstractContextManager[httpx.Response]:
        """See `httpx.Client.stream`."""
        ...


@dataclass
class Transport:
    """Requests to one coordinator. `sleep`, `uniform` (jitter) and `now` are the world; `sent` hears of requests."""

    http: Http
    url: str = ""
    token: str = ""
    private_key: str = ""  # of the device; signs whatever carries the token
    retry: Retry = field(default_factory=Retry)
    sleep: Callable[[float], Any] = time.sleep
    uniform: Callable[[], float] = random.random
    now: Callable[[], float] = time.time
    stopped: Callable[[], bool] = lambda: False
    sent: Callable[[Sent], None] = lambda request: None
    answer_seconds: float = 600.0  # one answer may take this long, however slowly it drips

    def call(
        self, method: str, path: str, body: bytes | bytearray, headers: dict[str, str], parse: Callable[[bytes], T]
    ) -> T:
        """Send `body` until an answer parses. Raises Unavailable, Refused or InvalidMessage."""

        def attempt() -> T:
            with self.request(method, path, body, headers) as response:
                raise_for_status(response, self.short_answer)
                return parse(self.short_answer(response))

        return self.again(attempt)

    def again(self, attempt: Callable[[], T]) -> T:
        """Run `attempt` until it succeeds or the attempts are used up."""
        for number in range(self.retry.attempts):
            last = number + 1 == self.retry.attempts or self.stopped()
            wish_seconds = 0.0
            try:
                return attempt()
            except TryAgain as fault:
                if last or network_settings.UNTRUSTED in str(fault):  # which no waiting mends
                    later = "nothing is lost, and the device tries again later; check the address and the network"
                    raise Unavailable(
                        f"the coordinator at {self.url} can't be reached ({fault})",
                        remedy=network_settings.remedy_for(str(fault), later),
                    ) from fault
                wish_seconds = fault.after_seconds
            except InvalidMessage:
                if last:
                    raise
            except Refused as refusal:
                if last or refusal.status not in DAMAGED:
                    raise
            self.sleep(max(wish_seconds, self.retry.wait_seconds(number, self.uniform())))
        raise AssertionError("a retry policy has at least one attempt")

    @contextmanager
    def request(
        self, method: str, path: str, body: bytes | bytearray, headers: dict[str, str]
    ) -> Iterator[httpx.Response]:
        """One request, its answer not yet read. Every fault of the network becomes `TryAgain`."""
        sent = {"Accept-Encoding": "identity", **headers}
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
            sent |= signed_requests.headers(self.private_key, method, path, body)
        elif body:
            sent[signed_requests.CONTENT_DIGEST] = signed_requests.content_digest(body)
        self.sent(Sent(method, path, body))
        content: bytes | Parts = bytes(body) if len(body) <= PART_BYTES else Parts(body)
        if isinstance(content, Parts):
            sent["Content-Length"] = str(len(body))
        with ExitStack() as stack:
            with translated():
                answer = self.http.stream(method, self.url + path, content=content or None, headers=sent)
                response = stack.enter_context(answer)
            yield response

    def short_answer(self, response: httpx.Response) -> bytes:
        """The whole body of an answer that must be short."""
        body = bytearray()
        for chunk in self.chunks(response):
            body += chunk
            if len(body) > ANSWER_BYTES:
                raise InvalidMessage("the coordinator's answer is too long", remedy="check the coordinator's address")
        return bytes(body)

    def chunks(self, response: httpx.Response) -> Iterator[bytes]:
        """The raw body; one that is cut short or drips for too long is `TryAgain`."""
        if response.headers.get("content-encoding", "identity") != "identity":
            raise InvalidMessage("the coordinator's answer is compressed", remedy="turn compression off in the proxy")
        start, raw = self.now(), response.iter_raw()
        while True:
            with translated():
                chunk = next(raw, None)
            if chunk is None:
                return
            if self.now() - start > self.answer_seconds:
                raise TryAgain("the answer took too long")
            yield chunk


@contextmanager
def translated() -> Iterator[None]:
    """Every fault of the HTTP library becomes ours: what the network does is `TryAgain`, the rest InvalidMessage."""
    try:
        yield
    except (FedRelaError, TryAgain):
        raise
    except (httpx.TransportError, httpx.StreamError) as error:
        raise TryAgain(f"{type(error).__name__}: {str(error)[:120]}") from error
    except Exception as error:  # whatever it makes of an address or an answer that it doesn't understand
        raise InvalidMessage(
            f"that is not an HTTP answer ({type(error).__name__}: {str(error)[:120]})", remedy="check the address"
        ) from error


def raise_for_status(response: httpx.Response, read: Callable[[httpx.Response], bytes]) -> None:
    """Nothing for a success; TryAgain or Refused otherwise, with what the problem document says.

    A redirect is nothing that a coordinator sends, whatever its body: it is refused with the code of a stranger.
    """
    status = response.status_code
    if status in SUCCESS:
        return
    if status in REDIRECTS:
        raise Refused(
            f"the coordinator answered HTTP {status}", remedy="check its address", code=f"http-{status}", status=status
        )
    problem = _problem(read(response), status)
    if status in TRANSIENT:
        told = "" if problem.code == f"http-{status}" else f": {problem.detail}"
        raise TryAgain(f"HTTP {status}{told}", _retry_after(response, problem))
    raise Refused(problem.detail, remedy=problem.remedy, code=problem.code, status=status)


def _problem(body: bytes, status: int) -> Problem:
    """The problem document, its text made safe to print; a made-up one where the answer is none."""
    try:
        problem = strict.from_json(Problem, body)
    except InvalidMessage:
        return Problem("", status, f"http-{status}", f"the coordinator answered HTTP {status}", "check its address")
    return Problem(
        title=printable(problem.title),
        status=status,
        code=printable(problem.code),
        detail=printable(problem.detail),
        remedy=printable(problem.remedy),
        retry_after_seconds=problem.retry_after_seconds,
    )


def printable(text: str) -> str:
    """What a coordinator says, made safe for a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text[:500])


def _retry_after(response: httpx.Response, problem: Problem) -> float:
    """Seconds that the coordinator asks to wait, within limits."""
    header = response.headers.get("retry-after", "")
    wish_seconds = float(header) if re.fullmatch(r"[0-9]{1,6}", header) else problem.retry_after_seconds
    return min(max(wish_seconds, 0.0), LONGEST_WISH_SECONDS)
