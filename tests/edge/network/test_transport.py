"""Retries, downloads that go on, and links. The other side is a function here; test_faulty_network has a real one."""

import hashlib
from collections.abc import Callable

import httpx
import pytest

from fedrela.core.errors import IntegrityError, InvalidMessage, Refused, Unavailable
from fedrela.core.wire import Assignment, CheckIn, EvaluationReport, FailureReport
from fedrela.edge.network.api import CoordinatorApi, Retry
from fedrela.edge.network.transport import PART_BYTES
from fedrela.edge.storage.store import MemoryStore

Answer = Callable[[httpx.Request], httpx.Response]
BLOB = bytes(range(256)) * 4000
ASSIGNMENT = Assignment("a-1", "t-1", 1, *("0" * 64,) * 3, 1, 1000.0, 1000.0, "token")
NAME = hashlib.sha256(BLOB).hexdigest()


class Cut(httpx.SyncByteStream):
    """A body that breaks off."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    def __iter__(self):
        for start in range(0, len(self.body), 65536):
            yield self.body[start : start + 65536]
        raise httpx.RemoteProtocolError("cut")


def stream(status: int, body: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
    return httpx.Response(status, headers=headers, stream=httpx.ByteStream(body))


class Unread(httpx.BaseTransport):
    """Leaves the request's body to whoever answers."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self.answer(request)


def api_for(answer: Answer, slept: list[float] | None = None, attempts: int = 5) -> CoordinatorApi:
    http = httpx.Client(transport=httpx.MockTransport(answer))
    pause = (slept if slept is not None else []).append
    return CoordinatorApi(http, "http://c", retry=Retry(attempts, 1.0, 8.0), sleep=pause, uniform=lambda: 0.5)


def test_a_certificate_that_is_not_trusted_is_told_at_once() -> None:
    slept: list[float] = []

    def refused(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate")

    with pytest.raises(Unavailable) as caught:
        api_for(refused, slept).leave()
    assert slept == []  # no waiting mends it
    assert "SSL_CERT_FILE" in caught.value.remedy


DOCUMENT = b'{"title":"t","status":502,"code":"c","detail":"what is wrong","remedy":"r"}'


@pytest.mark.parametrize(("body", "told"), [(b"<html>", "(HTTP 502)"), (DOCUMENT, "(HTTP 502: what is wrong)")])
def test_a_status_is_said_once(body: bytes, told: str) -> None:
    with pytest.raises(Unavailable) as caught:
        api_for(lambda request: stream(502, body), [], attempts=1).leave()
    assert told in caught.value.problem


def ranged(request: httpx.Request) -> tuple[int, bytes, dict[str, str]]:
    requested = request.headers.get("range")
    if requested is None:
        return 200, BLOB, {}
    start = int(requested.removeprefix("bytes=").removesuffix("-"))
    return 206, BLOB[start:], {"Content-Range": f"bytes {start}-{len(BLOB) - 1}/{len(BLOB)}"}


def test_pauses_double_and_are_capped() -> None:
    slept: list[float] = []
    api = api_for(lambda request: stream(503, b""), slept)
    with pytest.raises(Unavailable, match="nothing is lost"):
        api.leave()
    assert slept == [0.75, 1.5, 3.0, 6.0]
    assert [Retry(cap_seconds=4).wait_seconds(k, 0.0) for k in (0, 5, 4000)] == [0.25, 2.0, 2.0]


@pytest.mark.parametrize("wish", [("7", 7.0), ("99999", 300.0), ("soon", 0.75), ("-1", 0.75)])
def test_the_coordinators_wish_is_followed_within_limits(wish: tuple[str, float]) -> None:
    slept: list[float] = []
    answers = iter([stream(429, b"", {"Retry-After": wish[0]}), stream(204, b"")])
    api_for(lambda request: next(answers), slept).leave()
    assert slept == [wish[1]]


def test_a_large_body_goes_in_parts_with_its_length_and_whole_again_when_it_is_repeated() -> None:
    body, seen = bytearray(BLOB), []

    def answer(request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.SyncByteStream)
        parts = list(request.stream)
        seen.append((max(map(len, parts)), b"".join(parts), request.headers["Content-Length"]))
        assert "Transfer-Encoding" not in request.headers
        return stream(503, b"") if len(seen) == 1 else stream(200, b'{"round":3}')

    assert len(body) > 2 * PART_BYTES
    http = httpx.Client(transport=Unread(answer))
    CoordinatorApi(http, "http://c", retry=Retry(5, 1.0, 8.0), sleep=lambda seconds: None).update(ASSIGNMENT, body)
    assert seen == [(PART_BYTES, BLOB, str(len(BLOB)))] * 2


def test_a_refusal_is_not_repeated_and_its_text_is_made_printable() -> None:
    problem = b'{"title":"t","status":409,"code":"lease-expired","detail":"late\\u001b[31m","remedy":"check in"}'
    calls = []

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append(request)
        return stream(409, problem)

    with pytest.raises(Refused, match=r"late\?\[31m; check in") as refused:
        api_for(answer).leave()
    assert (refused.value.code, refused.value.status, len(calls)) == ("lease-expired", 409, 1)


def test_what_is_no_answer_is_asked_for_again() -> None:
    good = b'{"wait":{"retry_after_seconds":3,"reason":"no-task"}}'
    answers = iter([stream(200, b'{"wai'), stream(200, b"{}"), stream(302, b""), stream(400, b""), stream(200, good)])

    def answer(request: httpx.Request) -> httpx.Response:
        answer = next(answers)
        return stream(502, b"") if answer.status_code == 302 else answer

    got = api_for(answer).check_in(CheckIn("default", "1", (), "0f" * 16))
    assert got.wait is not None
    assert got.wait.retry_after_seconds == 3


def test_no_answer_is_followed_decompressed_or_read_for_ever() -> None:
    offer = CheckIn("default", "1", (), "0f" * 16)
    with pytest.raises(Refused, match="HTTP 302"):
        api_for(lambda request: stream(302, b"", {"Location": "http://evil"})).check_in(offer)
    with pytest.raises(InvalidMessage, match="compressed"):
        api_for(lambda request: stream(200, b"x", {"Content-Encoding": "gzip"})).check_in(offer)
    with pytest.raises(InvalidMessage, match="too long"):
        api_for(lambda request: stream(200, b" " * 1_100_000)).check_in(offer)


def test_a_download_goes_on_where_it_stopped() -> None:
    store, ranges, cuts = MemoryStore(), [], [300_000, 700_000]

    def answer(request: httpx.Request) -> httpx.Response:
        ranges.append(request.headers.get("range"))
        status, body, headers = ranged(request)
        if cuts:
            return httpx.Response(status, headers=headers, stream=Cut(body[: cuts.pop(0)]))
        return stream(status, body, headers)

    assert api_for(answer).blob(NAME, store, limit_bytes=len(BLOB)) == BLOB
    assert ranges == [None, "bytes=300000-", "bytes=1000000-"]
    assert store.keys() == []


def test_a_download_survives_a_restart() -> None:
    store = MemoryStore()
    broken = api_for(lambda request: httpx.Response(200, stream=Cut(BLOB[:400_000])), attempts=1)
    with pytest.raises(Unavailable):
        broken.blob(NAME, store, limit_bytes=len(BLOB))
    assert len(store.get(f"partial/{NAME}") or b"") == 400_000
    ranges = []

    def answer(request: httpx.Request) -> httpx.Response:
        ranges.append(request.headers["range"])
        return stream(*ranged(request))

    assert api_for(answer).blob(NAME, store, limit_bytes=len(BLOB)) == BLOB
    assert ranges == ["bytes=400000-"]


def test_a_coordinator_without_ranges_is_understood() -> None:
    store = MemoryStore()
    store.put(f"partial/{NAME}", BLOB[:1000])
    assert api_for(lambda request: stream(200, BLOB)).blob(NAME, store, limit_bytes=len(BLOB)) == BLOB


@pytest.mark.parametrize("header", ["bytes 0-5/6", "", "bytes 999-1/2"])
def test_a_wrong_range_starts_anew(header: str) -> None:
    store = MemoryStore()
    store.put(f"partial/{NAME}", BLOB[:1000])

    def answer(request: httpx.Request) -> httpx.Response:
        if "range" in request.headers:
            return stream(206, BLOB[1000:], {"Content-Range": header})
        return stream(200, BLOB)

    assert api_for(answer).blob(NAME, store, limit_bytes=len(BLOB)) == BLOB


def test_a_damaged_start_is_thrown_away() -> None:
    store = MemoryStore()
    store.put(f"partial/{NAME}", b"x" + BLOB[1:1000])
    assert api_for(lambda request: stream(*ranged(request))).blob(NAME, store, limit_bytes=len(BLOB)) == BLOB


def test_a_blob_that_never_matches_or_is_too_long_is_refused() -> None:
    store = MemoryStore()
    with pytest.raises(IntegrityError, match="does not match its hash"):
        api_for(lambda request: stream(200, BLOB[:-1])).blob(NAME, store, limit_bytes=len(BLOB))
    with pytest.raises(IntegrityError, match="longer than the 10 bytes"):
        api_for(lambda request: stream(200, BLOB)).blob(NAME, store, limit_bytes=10)
    assert store.keys() == []


def test_a_log_in_page_takes_nothing_over() -> None:
    slept: list[float] = []
    api = api_for(lambda request: stream(200, b"<html>Welcome to our Wi-Fi</html>"), slept)
    for call in (
        api.leave,
        lambda: api.failure(ASSIGNMENT, FailureReport("training-failed")),
        lambda: api.evaluation(ASSIGNMENT, EvaluationReport(1.0, 1, 1)),
    ):
        with pytest.raises(InvalidMessage, match="no coordinator"):
            call()
    assert len(slept) == 3 * 4  # each was tried again
