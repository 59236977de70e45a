"""Blobs over HTTP: ranges, ETags, conditional requests."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrela.coordinator.api import downloads
from fedrela.core import signing
from fedrela.core.errors import Refused
from tests.coordinator import fleet
from tests.coordinator.conftest import House

BODY = bytes(range(256)) * 8


@pytest.fixture
def stored(house: House) -> tuple[House, fleet.Operator, str]:
    """An operator, who may read every blob, and the path of one."""
    house.operator.call("PUT", f"/blobs/{signing.sha256(BODY)}", content=BODY)
    return house, house.operator, f"/v1/blobs/{signing.sha256(BODY)}"


def test_everything_with_a_strong_etag(stored: tuple[House, fleet.Operator, str]) -> None:
    house, reader, path = stored
    answer = house.http.get(path, headers=reader.headers)
    assert (answer.status_code, answer.content) == (200, BODY)
    assert answer.headers["etag"] == f'"{signing.sha256(BODY)}"'
    assert answer.headers["accept-ranges"] == "bytes"
    assert "immutable" in answer.headers["cache-control"]
    again = house.http.get(path, headers=reader.headers | {"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("header", "status", "expected"),
    [
        ("bytes=0-9", 206, BODY[:10]),
        ("bytes=2000-", 206, BODY[2000:]),
        ("bytes=-5", 206, BODY[-5:]),
        ("bytes=2040-99999", 206, BODY[2040:]),
        ("bytes=5-2", 200, BODY),
        ("lines=1-2", 200, BODY),
        ("bytes=0-1,4-5", 200, BODY),
    ],
)
def test_ranges(stored: tuple[House, fleet.Operator, str], header: str, status: int, expected: bytes) -> None:
    house, reader, path = stored
    answer = house.http.get(path, headers=reader.headers | {"Range": header})
    assert (answer.status_code, answer.content) == (status, expected)
    if status == 206:
        start = (
            BODY.index(expected)
            if len(expected) > 256
            else int(answer.headers["content-range"].split()[1].split("-")[0])
        )
        assert answer.headers["content-range"] == f"bytes {start}-{start + len(expected) - 1}/{len(BODY)}"


def test_a_range_outside_is_416(stored: tuple[House, fleet.Operator, str]) -> None:
    house, reader, path = stored
    answer = house.http.get(path, headers=reader.headers | {"Range": "bytes=2048-"})
    assert (answer.status_code, answer.json()["code"]) == (416, "range-not-satisfiable")
    assert answer.headers["content-range"] == f"bytes */{len(BODY)}"  # RFC 9110, section 14.4


def test_a_range_of_another_version_is_ignored(stored: tuple[House, fleet.Operator, str]) -> None:
    house, reader, path = stored
    stale = {"Range": "bytes=5-", "If-Range": '"another"'}
    assert house.http.get(path, headers=reader.headers | stale).content == BODY


def test_a_large_blob_is_streamed(stored: tuple[House, fleet.Operator, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "CHECKED_BYTES", 100)
    monkeypatch.setattr(downloads, "CHUNK", 300)
    house, reader, path = stored
    assert house.http.get(path, headers=reader.headers).content == BODY
    part = house.http.get(path, headers=reader.headers | {"Range": "bytes=7-1006"})
    assert part.content == BODY[7:1007]


@given(st.integers(1, 50), st.integers(0, 60), st.integers(0, 60))
@settings(deadline=None)
def test_a_range_lies_inside_or_is_refused(size: int, first: int, last: int) -> None:
    try:
        bounds = downloads.byte_range(f"bytes={first}-{last}", size)
    except Refused:
        assert first >= size
        return
    assert (bounds is None) == (last < first)
    if bounds:
        assert 0 <= bounds[0] == first < bounds[1] <= size


@given(st.binary(min_size=1, max_size=40), st.integers(1, 60))
@settings(deadline=None)
def test_a_suffix_is_python_s_and_the_rest_completes_it(content: bytes, length: int) -> None:
    start, end = downloads.byte_range(f"bytes=-{length}", len(content)) or (0, 0)
    assert content[start:end] == content[-length:]
    before = downloads.byte_range(f"bytes=0-{start - 1}", len(content)) if start else (0, 0)
    assert before == (0, start)


@pytest.mark.parametrize(("header", "size"), [("bytes=-0", 10), ("bytes=0-", 0), ("bytes=-5", 0), ("bytes=10-12", 10)])
def test_a_range_without_a_byte_is_refused(header: str, size: int) -> None:
    with pytest.raises(Refused) as caught:
        downloads.byte_range(header, size)
    assert caught.value.status == 416


@pytest.mark.parametrize(
    "header", ["", "bytes", "bytes=-", "bytes=1", "bytes=a-b", "bytes=--1", "bytes=" + "9" * 40 + "-"]
)
def test_a_header_that_is_no_range_is_ignored(header: str) -> None:
    assert downloads.byte_range(header, 10) is None


@pytest.mark.parametrize(
    ("known", "status"), [("*", 304), ('W/"{0}"', 304), ('"other", "{0}"', 304), ('"other"', 200), ("{0}", 200)]
)
def test_a_known_blob_does_not_travel_again(stored: tuple[House, fleet.Operator, str], known: str, status: int) -> None:
    house, reader, path = stored
    tags = {"If-None-Match": known.format(signing.sha256(BODY))}
    assert house.http.get(path, headers=reader.headers | tags).status_code == status
