"""Strangers, half-sent requests, drips and readers that take nothing, against real servers however they are started."""

import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from fedrela.core.task import Relabel, Rounds, Task
from tests.coordinator import fleet
from tests.coordinator.api.raw_connections import (
    answer,
    connect,
    count_closed,
    has_answer,
    peer_ports,
    request,
    send_slowly,
    signed,
    wait_until_closed,
)
from tests.coordinator.live_server import KEY, SIGNING_KEY, Server, free_port, wait_for

MISCHIEF = "127.0.0.66"  # not the address of those who must not notice
PARAMETERS = 3_900_000  # 15.6 MB: a checkpoint of just under 16 MiB
QUICK = {"FEDRELA_STRANGERS_PER_ADDRESS": "10", "FEDRELA_HEADER_SECONDS": "2", "FEDRELA_STALL_SECONDS": "2"}
PLAIN = Relabel(enabled=False)


@pytest.fixture
def new_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Makes servers that are not started yet; killed at the end."""
    servers: list[Server] = []

    def make(*arguments: str, workers: int = 1, **environment: str) -> Server:
        folder = tmp_path / f"server-{len(servers)}"
        servers.append(Server(folder, free_port(), workers, environment=environment, arguments=arguments))
        return servers[-1]

    yield make
    for server in servers:
        server.kill()


def serve_by_its_own_verb(server: Server) -> None:
    """`fedrela serve`."""
    settings = {"FEDRELA_DATA": str(server.folder), "FEDRELA_ADMIN_KEY": KEY, "FEDRELA_SIGNING_KEY": SIGNING_KEY}
    command = [sys.executable, "-m", "fedrela", "serve", "--port", str(server.port)]
    server.launch(command, os.environ | settings | server.environment)


STARTS: dict[str, tuple[tuple[str, ...], int]] = {
    "httptools": (("--http", "httptools"), 1),
    "h11": (("--http", "h11", "--loop", "asyncio"), 1),
    "two workers": ((), 2),
    "fedrela serve": ((), 1),
}


@pytest.mark.parametrize("start", STARTS)
def test_half_open_requests_of_strangers_stop_nobody(start: str, new_server: Callable[..., Server]) -> None:
    arguments, workers = STARTS[start]
    server = new_server(*arguments, workers=workers, **QUICK)
    if start == "fedrela serve":
        serve_by_its_own_verb(server)
    else:
        server.start()
    half_open = [connect(server.port, MISCHIEF) for _ in range(60)]
    for index, connection in enumerate(half_open):
        with suppress(OSError):  # one too many, and closed already
            connection.sendall(b"POST /v1/check-ins HTTP/1.1\r\nHost: x\r\nX-a: " if index % 2 else b"")
    assert httpx.get(f"{server.url}/healthz").status_code == 200
    assert len(half_open) - wait_until_closed(half_open, 1.0) >= 60 - 10 * workers  # before any time is up
    assert wait_until_closed(half_open, 20.0) == 0
    again = connect(server.port, MISCHIEF)
    again.sendall(request("GET", "/healthz"))
    assert b" 200 " in answer(again)


def test_a_drip_of_header_bytes_buys_no_time_and_a_flood_is_cut_off(new_server: Callable[..., Server]) -> None:
    server = new_server(**QUICK | {"FEDRELA_HEADER_SECONDS": "3"})
    server.start()
    drip, flood = connect(server.port), connect(server.port)
    drip.sendall(b"GET /healthz HTTP/1.1\r\nX-a: ")
    flood.sendall(b"GET /healthz HTTP/1.1\r\n")
    with pytest.raises(ConnectionError):
        send_slowly(flood, [b"X-b: " + b"b" * 8000 + b"\r\n"] * 100, pause_seconds=0.01)
    with pytest.raises(ConnectionError):
        send_slowly(drip, [b"a"] * 100, pause_seconds=0.2)


def test_a_tls_handshake_that_never_ends_is_given_up(new_server: Callable[..., Server], tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    server = new_server("--ssl-keyfile", str(key), "--ssl-certfile", str(certificate), **QUICK)
    server.start(trusted=certificate)
    silent = [connect(server.port) for _ in range(5)]
    assert wait_until_closed(silent, 20.0) == 0
    context = ssl.create_default_context(cafile=certificate)
    with context.wrap_socket(connect(server.port), server_hostname="127.0.0.1") as inside:
        inside.sendall(b"GET /healthz HTTP/1.1\r\nX-a: ")
        with suppress(ConnectionError, ssl.SSLEOFError):  # and then a request's head has as long
            assert inside.recv(100) == b""


@pytest.mark.parametrize("path", ["/v1/assignments/a-1/update", "/v1/admin/blobs/x"])
def test_what_follows_an_early_answer_is_drained_for_a_while_only(path: str, new_server: Callable[..., Server]) -> None:
    server = new_server(**QUICK)
    server.start()
    connection = connect(server.port)
    connection.sendall(request("PUT", path, "Content-Length: 1000000"))
    assert b" 401 " in answer(connection)
    with pytest.raises(ConnectionError):
        send_slowly(connection, [b"b"] * 200, pause_seconds=0.1)


def test_200_devices_behind_one_address_work_at_the_defaults(
    new_server: Callable[..., Server], bundle_folder: Path
) -> None:
    server = new_server("--timeout-keep-alive", "300")
    server.start()
    with server.http() as http:
        operator = fleet.Operator(http, KEY)
        operator.publish(bundle_folder, Task("behind", 1, round=Rounds(goal=200), relabel=PLAIN))
        token = operator.link(200)
        clients = [server.http() for _ in range(200)]
        devices = [fleet.enroll(client, token) for client in clients]
        assert all(device.check_in()["assignment"] for device in devices)
        # They have shown who they are: their 200 connections leave room for as many strangers as ever.
        strangers = [connect(server.port) for _ in range(250)]
        assert httpx.get(f"{server.url}/healthz").status_code == 200
        assert count_closed(strangers) == 0
        for client in clients:
            client.close()


def test_a_connection_counts_for_whom_a_trusted_proxy_names_and_for_nobody_else(
    new_server: Callable[..., Server],
) -> None:
    few_strangers = {"FEDRELA_STRANGERS_PER_ADDRESS": "3", "FEDRELA_STALL_SECONDS": "300"}
    server = new_server("--forwarded-allow-ips", "127.0.0.7", **few_strangers)
    server.start()

    def forwarded(source: str, client: str) -> socket.socket | None:
        """A half-sent request over a proxy's connection; None where the connection itself is one too many."""
        connection = connect(server.port, source)
        connection.sendall(request("GET", "/healthz", f"X-Forwarded-For: {client}"))
        if b" 200 " not in answer(connection):
            return None
        connection.sendall(request("POST", "/v1/devices", "Content-Length: 1000", f"X-Forwarded-For: {client}"))
        assert httpx.get(f"{server.url}/healthz").status_code == 200  # so the server has seen what was sent before
        return connection

    many_clients = [forwarded("127.0.0.7", f"192.0.2.{client}") for client in range(8)]
    one_client = [forwarded("127.0.0.7", "192.0.2.99") for _ in range(4)]
    waiting = [connection for connection in (*many_clients, *one_client[:3]) if connection]
    assert len(waiting) == 11
    assert one_client[3] is None
    assert not any(has_answer(connection) for connection in waiting)
    # Whoever is no trusted proxy counts for itself, whatever it says.
    alone = [forwarded(MISCHIEF, f"192.0.2.{client}") for client in range(4)]
    assert [connection is not None for connection in alone] == [True, True, True, False]


def test_readers_that_take_nothing_hold_a_piece_each_and_are_closed(
    new_server: Callable[..., Server], tmp_path: Path
) -> None:
    fleet.make_bundle(tmp_path / "bundle", {"w": (PARAMETERS,)})
    server = new_server(FEDRELA_STALL_SECONDS="6")
    server.start()
    with server.http() as http:
        operator = fleet.Operator(http, KEY)
        operator.publish(tmp_path / "bundle", Task("slow", 1, round=Rounds(goal=1, smallest_cohort=1), relabel=PLAIN))
        device = fleet.enroll(http, operator.link(1))
        assignment = device.join()
        path = f"/v1/blobs/{assignment['checkpoint_sha256']}"
        whole = http.get(path, auth=device.auth).content
        assert len(whole) == assignment["checkpoint_bytes"] > 4 * PARAMETERS
    assert server.process is not None
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    readers = [connect(server.port, receive_buffer_bytes=4096) for _ in range(60)]
    largest = 0
    for reader in readers:
        reader.sendall(request("GET", path, *signed(device, "GET", path, b"")))
        largest = max(largest, process.memory_info().rss - before)
    watched_until = time.monotonic() + 3
    while time.monotonic() < watched_until:
        largest = max(largest, process.memory_info().rss - before)
        time.sleep(0.05)
    assert largest < 60 * len(whole) / 5, largest
    ports = {reader.getsockname()[1] for reader in readers}
    wait_for(lambda: not ports & peer_ports(process), pause_seconds=0.5)
    for reader in readers:  # what the system had buffered, and then the end, long before all of it
        reader.settimeout(30)
        received = 0
        try:
            while piece := reader.recv(1 << 20):
                received += len(piece)
        except ConnectionError:
            pass
        assert received < len(whole)


def test_a_device_s_half_sent_bodies_are_in_its_own_way_only(
    new_server: Callable[..., Server], bundle_folder: Path
) -> None:
    server = new_server(FEDRELA_MAX_UPLOADS_IN_MEMORY_BYTES="16384", FEDRELA_STALL_SECONDS="6")
    server.start()
    with server.http() as http:
        operator = fleet.Operator(http, KEY)
        operator.publish(bundle_folder, Task("hogs", 1, round=Rounds(goal=2, smallest_cohort=2), relabel=PLAIN))
        token = operator.link(2)
        hog, honest = fleet.enroll(http, token), fleet.enroll(http, token)
        assignment, other = hog.join(), honest.join()
        path, never_whole = f"/v1/assignments/{assignment['assignment_id']}/update", b"x" * 4000
        head = request(
            "PUT",
            path,
            *signed(hog, "PUT", path, never_whole),
            f"Fedrela-Upload-Token: {assignment['upload_token']}",
            "Content-Length: 4000",
        )
        half_sent = [connect(server.port) for _ in range(27)]
        for connection in half_sent:
            connection.sendall(head + never_whole[:10])
        wait_for(lambda: sum(map(has_answer, half_sent)) >= 26)
        assert honest.upload(other, fleet.body(fleet.change(1.0))).status_code == 200
        waiting = [connection for connection in half_sent if not has_answer(connection)]
        assert len(waiting) == 1  # of one assignment one body is received at a time
        assert all(b" 429 " in answer(connection) for connection in half_sent if connection not in waiting)
        assert wait_until_closed(waiting, 20.0) == 0  # a body that has stopped coming
        last = hog.upload(assignment, fleet.body(fleet.change(1.0)))
        while last.status_code == 429:  # the coordinator notices a moment later that nothing is received any more
            time.sleep(0.05)
            last = hog.upload(assignment, fleet.body(fleet.change(1.0)))
        assert last.status_code == 200
