"""The HTTP calls of a device, as `core.wire` names them, over an `httpx.Client` that is passed in.

Whatever may be repeated safely is repeated, with exponential backoff and jitter: lost connections, truncated answers,
408, 425, 429 and 5xx. Any other refusal is raised as `Refused` with the coordinator's code. No answer is decompressed
or read beyond its limit. May import httpx and `core`.

    api = CoordinatorApi(httpx.Client(timeout=30), "https://fl.example.org", token="...")
    answer = api.check_in(CheckIn("default", "0.1.0", ("onnx 1.32.0",)))
"""

import base64
import hashlib
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from core import strict
from core.errors import IntegrityError, InvalidMessage, Refused, Unavailable
from core.wire import (
    TENSORS_TYPE,
    UPLOAD_TOKEN_HEADER,
    Assignment,
    CheckIn,
    CheckInResponse,
    EnrolRequest,
    EnrolResponse,
    EvaluationReport,
    FailureReport,
    Problem,
    UpdateReceipt,
    check_protocol,
    check_sha256_name,
)
from edge.store import Store

T = TypeVar("T")

ANSWER_BYTES = 1_000_000  # no JSON answer is longer
CHUNK_BYTES = 262_144  # a download is kept at least this often
TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
DAMAGED_DOWNLOADS = 3  # a blob that is wrong this often is wrong at its source
DAMAGED_UPLOAD = (400, 422)  # our body was checked before it left, so it may have been damaged on its way
_TOKEN = re.compile(r"[\x21-\x7e]{1,512}")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")


@dataclass(frozen=True)
class Retry:
    """When to try again: attempt k waits min(cap, base * 2^k) seconds, times a random factor from 0.5 to 1."""

    attempts: int = 6
    base_seconds: float = 0.5
    cap_seconds: float = 30.0

    def wait_seconds(self, attempt: int, uniform: float) -> float:
        """The pause after failed attempt `attempt`, counted from 0; `uniform` in [0, 1)."""
        return min(self.cap_seconds, self.base_seconds * 2.0 ** min(attempt, 30)) * (0.5 + 0.5 * uniform)


class _TryAgain(Exception):
    """A fault that may pass. `after_seconds`: what the coordinator asked for."""

    def __init__(self, problem: str, after_seconds: float = 0.0) -> None:
        super().__init__(problem)
        self.after_seconds = after_seconds


@dataclass(frozen=True)
class Sent:
    """One request that left the device: for the owner's log. `body` never holds a token but the enrolment's own."""

    method: str
    path: str
    body: bytes


@dataclass
class CoordinatorApi:
    """The calls of one device. `sleep`, `uniform` (jitter) and `now` are the world; `sent` is told of each request."""

    http: httpx.Client
    url: str
    token: str = ""
    retry: Retry = field(default_factory=Retry)
    sleep: Callable[[float], Any] = time.sleep
    uniform: Callable[[], float] = random.random
    now: Callable[[], float] = time.time
    stopped: Callable[[], bool] = lambda: False
    sent: Callable[[Sent], None] = lambda request: None
    answer_seconds: float = 600.0  # one answer may take this long, however slowly it drips

    def enrol(self, request: EnrolRequest) -> EnrolResponse:
        """Exchange an enrolment token for a device token. Repeating it with the same key is safe."""
        answer: EnrolResponse = self._json("POST", "/v1/devices", request, EnrolResponse)
        check_protocol(answer.protocol)
        _check_token(answer.device_token)
        return answer

    def check_in(self, request: CheckIn) -> CheckInResponse:
        """Offer to work. Raises InvalidMessage for an answer that is not exactly one of assignment and wait."""
        answer: CheckInResponse = self._json("POST", "/v1/check-ins", request, CheckInResponse)
        check_protocol(answer.protocol)
        if (answer.assignment is None) == (answer.wait is None):
            raise InvalidMessage(
                "the coordinator's answer is not exactly one of assignment and wait", remedy="update the coordinator"
            )
        if answer.assignment is not None:
            check_assignment(answer.assignment)
        return answer

    def update(self, assignment: Assignment, body: bytes) -> UpdateReceipt:
        """Upload an update. The same body may be sent any number of times and counts once."""
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        headers = {
            "Content-Type": TENSORS_TYPE,
            "Content-Digest": f"sha-256=:{digest}:",  # RFC 9530
            UPLOAD_TOKEN_HEADER: assignment.upload_token,
        }
        path = f"/v1/assignments/{assignment.assignment_id}/update"
        answer = self._call("PUT", path, body, headers, also_transient=DAMAGED_UPLOAD)
        return strict.from_json(UpdateReceipt, answer)

    def failure(self, assignment: Assignment, report: FailureReport) -> None:
        """Give the slot back."""
        self._json("POST", f"/v1/assignments/{assignment.assignment_id}/failure", report, None)

    def evaluation(self, assignment: Assignment, report: EvaluationReport) -> None:
        """Report totals over the hold-out."""
        self._json("POST", f"/v1/assignments/{assignment.assignment_id}/evaluation", report, None)

    def leave(self) -> None:
        """Tell the coordinator to forget this device."""
        self._call("DELETE", "/v1/devices/self", b"", {})

    def blob(self, sha256: str, partial: Store, *, limit_bytes: int) -> bytes:
        """Download a blob, going on from what `partial` has of it. Raises IntegrityError if it never matches its name.

        What has arrived is kept at least every 256 KB, so that a download survives a restart. A blob that arrives
        whole but wrong is fetched again, in case it was damaged on its way.
        """
        check_sha256_name(sha256)
        key = f"partial/{sha256}"
        wrong = 0

        def attempt() -> bytes:
            nonlocal wrong
            body = self._ranged(sha256, partial, key, limit_bytes)
            if hashlib.sha256(body).hexdigest() == sha256:
                return body
            partial.delete(key)
            wrong += 1
            if wrong < DAMAGED_DOWNLOADS:
                raise _TryAgain("a download was damaged")
            raise IntegrityError(
                f"the coordinator's blob {sha256[:12]} does not match its hash",
                remedy="nothing was loaded; tell the operator that a stored file is damaged",
            )

        body = self._again(attempt)
        partial.delete(key)
        return body

    def _ranged(self, sha256: str, partial: Store, key: str, limit_bytes: int) -> bytes:
        have = partial.get(key) or b""
        headers = {"Range": f"bytes={len(have)}-"} if have else {}
        with self._request("GET", f"/v1/blobs/{sha256}", b"", headers) as response:
            if response.status_code == 416:
                partial.delete(key)
                raise _TryAgain("the coordinator has less of the blob than this device")
            self._raise_for_status(response, ())
            going_on = response.status_code == 206
            if going_on and not response.headers.get("content-range", "").startswith(f"bytes {len(have)}-"):
                partial.delete(key)
                raise _TryAgain("the coordinator sent another range than asked for")
            if have and not going_on:
                partial.delete(key)
            body, unsaved = bytearray(have if going_on else b""), bytearray()
            try:
                for chunk in self._chunks(response):
                    body += chunk
                    unsaved += chunk
                    if len(body) > limit_bytes:
                        partial.delete(key)
                        raise IntegrityError(
                            f"the blob {sha256[:12]} is longer than the {limit_bytes} bytes announced",
                            remedy="nothing was loaded; tell the operator",
                        )
                    if len(unsaved) >= CHUNK_BYTES:
                        partial.append(key, bytes(unsaved))
                        unsaved.clear()
            except _TryAgain:
                partial.append(key, bytes(unsaved))
                raise
            return bytes(body)

    def _json(self, method: str, path: str, message: Any, answer: type[T] | None) -> Any:
        """Send a message of the wire protocol and parse the answer; an answer that doesn't parse is asked for again."""
        body, headers = strict.to_json(message), {"Content-Type": "application/json"}
        if answer is None:
            return self._call(method, path, body, headers)
        return self._call(method, path, body, headers, parse=lambda got: strict.from_json(answer, got))

    def _call(
        self,
        method: str,
        path: str,
        body: bytes,
        headers: dict[str, str],
        *,
        also_transient: tuple[int, ...] = (),
        parse: Callable[[bytes], Any] = bytes,
    ) -> Any:
        def attempt() -> Any:
            with self._request(method, path, body, headers) as response:
                self._raise_for_status(response, also_transient)
                return parse(self._short_answer(response))

        return self._again(attempt)

    def _again(self, attempt: Callable[[], T]) -> T:
        """Run `attempt` until it succeeds or the attempts are used up."""
        for number in range(self.retry.attempts):
            last = number + 1 == self.retry.attempts
            try:
                return attempt()
            except _TryAgain as fault:
                if last or self.stopped():
                    raise Unavailable(
                        f"the coordinator at {self.url} can't be reached ({fault})",
                        remedy="nothing is lost, and the device tries again later; check the address and the network",
                    ) from fault
                pause = max(fault.after_seconds, self.retry.wait_seconds(number, self.uniform()))
            except (InvalidMessage, Refused) as fault:
                if last or self.stopped() or (isinstance(fault, Refused) and fault.status not in DAMAGED_UPLOAD):
                    raise
                pause = self.retry.wait_seconds(number, self.uniform())
            self.sleep(pause)
        raise AssertionError("a retry policy has at least one attempt")

    @contextmanager
    def _request(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Iterator[httpx.Response]:
        """One request, its answer not yet read. Every fault of the transport becomes `_TryAgain`."""
        allowed = {"Accept-Encoding": "identity", **headers}
        if self.token:
            allowed["Authorization"] = f"Bearer {self.token}"
        self.sent(Sent(method, path, body))
        try:
            with self.http.stream(method, self.url + path, content=body or None, headers=allowed) as response:
                yield response
        except (httpx.TransportError, httpx.StreamError) as error:
            raise _TryAgain(f"{type(error).__name__}: {str(error)[:120]}") from error
        except (httpx.InvalidURL, httpx.HTTPError, UnicodeError) as error:
            raise InvalidMessage(
                f"the coordinator's answer is not HTTP ({error})", remedy="check the address"
            ) from error

    def _raise_for_status(self, response: httpx.Response, also_transient: tuple[int, ...]) -> None:
        status = response.status_code
        if status in (200, 201, 204, 206):
            return
        problem = _problem(self._short_answer(response), status)
        if status in TRANSIENT:
            raise _TryAgain(f"HTTP {status}: {problem.detail}", _retry_after(response, problem))
        refused = Refused(problem.detail, remedy=problem.remedy, code=problem.code, status=status)
        raise refused

    def _short_answer(self, response: httpx.Response) -> bytes:
        body = bytearray()
        for chunk in self._chunks(response):
            body += chunk
            if len(body) > ANSWER_BYTES:
                raise InvalidMessage("the coordinator's answer is too long", remedy="check the coordinator's address")
        return bytes(body)

    def _chunks(self, response: httpx.Response) -> Iterator[bytes]:
        """The raw body; a body cut short or dripping for too long is `_TryAgain`."""
        if response.headers.get("content-encoding", "identity") != "identity":
            raise InvalidMessage("the coordinator's answer is compressed", remedy="turn compression off in the proxy")
        start = self.now()
        try:
            for chunk in response.iter_raw():
                if self.now() - start > self.answer_seconds:
                    raise _TryAgain("the answer took too long")
                yield chunk
        except (httpx.TransportError, httpx.StreamError) as error:
            raise _TryAgain(f"{type(error).__name__}: {str(error)[:120]}") from error


def join_link(link: str) -> tuple[str, str]:
    """Address and enrolment token of `http(s)://host[:port]/join#token`. Raises InvalidMessage for anything else."""
    try:
        parts = urlsplit(link)
        well_formed = parts.scheme in ("http", "https") and parts.hostname and parts.path.endswith("/join")
        _ = parts.port
    except ValueError:
        well_formed = False
    if not well_formed or not _TOKEN.fullmatch(parts.fragment) or parts.username or parts.query:
        raise InvalidMessage(
            "that is not an enrolment link", remedy="paste the whole link, http(s)://host/join#token, in quotes"
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.removesuffix('/join')}", parts.fragment


def check_assignment(assignment: Assignment) -> None:
    """Raise InvalidMessage for an assignment that could not be used safely in a URL, a header or a file name."""
    for name in (assignment.task_sha256, assignment.manifest_sha256, assignment.checkpoint_sha256):
        check_sha256_name(name)
    _check_token(assignment.upload_token)
    if not _NAME.fullmatch(assignment.assignment_id):
        raise InvalidMessage("the assignment's id is malformed", remedy="update the coordinator")
    if assignment.round < 1 or assignment.checkpoint_bytes < 1 or not 0 < len(assignment.task_id) <= 200:
        raise InvalidMessage("the assignment names no round, task or checkpoint", remedy="update the coordinator")


def _check_token(token: str) -> None:
    if not _TOKEN.fullmatch(token):
        raise InvalidMessage("the coordinator sent a malformed token", remedy="update the coordinator")


def _problem(body: bytes, status: int) -> Problem:
    """The problem document, its text made safe to print; a made-up one where the answer is none."""
    try:
        problem = strict.from_json(Problem, body)
    except InvalidMessage:
        return Problem("", status, f"http-{status}", f"the coordinator answered HTTP {status}", "check its address")
    return Problem(
        title=_printable(problem.title),
        status=status,
        code=_printable(problem.code),
        detail=_printable(problem.detail),
        remedy=_printable(problem.remedy),
        retry_after_seconds=problem.retry_after_seconds,
    )


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text[:500])


def _retry_after(response: httpx.Response, problem: Problem) -> float:
    """Seconds the coordinator asks to wait, at most five minutes."""
    header = response.headers.get("retry-after", "")
    asked = float(header) if re.fullmatch(r"[0-9]{1,6}", header) else problem.retry_after_seconds
    return min(max(asked, 0.0), 300.0)
