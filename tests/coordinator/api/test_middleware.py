"""What holds for every request: HEAD is GET without its content, and strangers make no counters."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY

from fedrela.core import signing
from tests.coordinator import fleet
from tests.coordinator.conftest import House
from tests.coordinator.live_server import KEY, Server, free_port
from tests.patience import PATIENCE_SECONDS

BODY = bytes(range(256)) * 4096  # 1 MB: what is streamed
BLOB = f"/v1/blobs/{signing.sha256(BODY)}"


@pytest.fixture
def reader(house: House) -> fleet.Operator:
    """Who may read everything."""
    house.operator.call("PUT", BLOB.removeprefix("/v1"), content=BODY)
    return house.operator


def heads(answer: Any) -> dict[str, str]:
    """What HEAD and GET say alike: `date` and a log-in's random numbers aside."""
    return {name: value for name, value in answer.headers.items() if name not in ("date", "set-cookie")}


@pytest.mark.parametrize(
    ("path", "more", "status"),
    [
        ("/healthz", {}, 200),
        ("/readyz", {}, 200),
        ("/healthz", {"X-Junk": "a" * 20_000}, 431),
        ("/", {}, 200),
        ("/openapi.json", {}, 200),
        ("/metrics", {}, 200),
        ("/metrics", {"Authorization": "Bearer wrong"}, 401),
        ("/v1/admin/tasks", {}, 200),
        ("/v1/nothing", {}, 404),
        (BLOB, {}, 200),
        (BLOB, {"Range": "bytes=5-9"}, 206),
        (BLOB, {"If-None-Match": f'"{signing.sha256(BODY)}"'}, 304),
        (BLOB, {"Range": "bytes=99999999-"}, 416),
    ],
)
def test_head_is_get_without_its_content(
    house: House, reader: fleet.Operator, path: str, more: dict[str, str], status: int
) -> None:
    given = house.http.get(path, headers=reader.headers | more)
    head = house.http.head(path, headers=reader.headers | more)
    assert (given.status_code, head.status_code, head.content) == (status, status, b"")
    lengths = {heads(answer).pop("content-length", "") for answer in (given, head)}
    assert len(lengths) == 1 or path == "/metrics"  # which has counted one more
    assert heads(head).keys() == heads(given).keys()


def test_what_is_not_read_by_get_is_not_by_head(house: House) -> None:
    answer = house.http.head("/v1/check-ins")
    assert (answer.status_code, answer.headers["allow"], answer.content) == (405, "POST", b"")


def counted_methods() -> set[str]:
    """The methods that have a counter."""
    metrics = {metric.name: metric for metric in REGISTRY.collect()}
    return {sample.labels["method"] for sample in metrics["fedrela_requests"].samples}


def test_a_method_of_a_stranger_makes_no_counter(house: House) -> None:
    house.http.head("/healthz")
    for number in range(3):
        assert house.http.request(f"ANY{number}", "/healthz").status_code == 405
    assert "HEAD" in counted_methods()
    assert counted_methods() <= {"GET", "HEAD", "POST", "PUT", "DELETE", "any"}


@pytest.fixture(params=["httptools", "h11"])
def either_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """uvicorn with either of its parsers."""
    server = Server(tmp_path / "server", free_port(), 1, environment={}, arguments=("--http", request.param))
    server.start()
    yield server
    server.kill()


def test_a_connection_serves_on_after_a_head(either_server: Server) -> None:
    key = {"Authorization": f"Bearer {KEY}"}
    httpx.put(f"{either_server.url}{BLOB.replace('v1', 'v1/admin')}", headers=key, content=BODY).raise_for_status()
    asked = f" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
    with socket.create_connection(("127.0.0.1", either_server.port), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(f"HEAD {BLOB}{asked}\r\n".encode())
        head = connection.recv(65536)
        assert head.startswith(b"HTTP/1.1 200")
        assert f"content-length: {len(BODY)}".encode() in head.lower()
        assert head.endswith(b"\r\n\r\n")
        connection.sendall(f"GET /healthz{asked}Connection: close\r\n\r\n".encode())
        rest = b"".join(iter(lambda: connection.recv(65536), b""))
        assert rest.startswith(b"HTTP/1.1 200")
        assert json.loads(rest.partition(b"\r\n\r\n")[2]) == {"status": "ok"}
