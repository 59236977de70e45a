"""Slow, broken, compressed and oversized requests against a live server, over raw sockets."""

import socket
import time

import pytest

from fedrela.coordinator.api.limits import RateLimit, UploadMemory
from fedrela.coordinator.api.problems import TooMany
from fedrela.core.task import Relabel, Rounds, Task
from tests.coordinator import fleet
from tests.coordinator.api.raw_connections import request, signed
from tests.coordinator.conftest import KEY, Server
from tests.patience import PATIENCE_SECONDS


def talk(port: int, sent: bytes, *, then: bytes = b"", pause_seconds: float = 0.0, finish: bool = True) -> bytes:
    """Send, wait, send the rest, and read the answer until the server closes or is silent."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(sent)
        time.sleep(pause_seconds)
        if then:
            connection.sendall(then)
        if not finish:
            return b""
        answer = b""
        while b"\r\n\r\n" not in answer:
            chunk = connection.recv(65536)
            if not chunk:
                break
            answer += chunk
        return answer


def talk_once_free(port: int, sent: bytes) -> bytes:
    """The answer, once the coordinator has noticed that the upload before broke off: until then it is under way."""
    until = time.monotonic() + PATIENCE_SECONDS
    while b" 429 " in (answer := talk(port, sent)) and time.monotonic() < until:
        time.sleep(0.05)
    return answer


def test_a_live_server_stands_slow_broken_and_huge_requests(server: Server, bundle_folder) -> None:
    server.start()
    with server.http() as http:
        operator = fleet.Operator(http, KEY)
        rounds = Rounds(goal=1, smallest_cohort=1, upload_lease_seconds=0.7)
        task = Task("limits", 1, round=rounds, relabel=Relabel(enabled=False))
        task_id = operator.publish(bundle_folder, task)
        device = fleet.enroll(http, operator.link(1))
        assignment = device.join()
        body = fleet.body(fleet.change(1.0))
        path = f"/v1/assignments/{assignment['assignment_id']}/update"
        token = f"Fedrela-Upload-Token: {assignment['upload_token']}"
        head = request("PUT", path, *signed(device, "PUT", path, body), token).decode().removesuffix("\r\n")
        length = f"Content-Length: {len(body)}\r\n\r\n"
        # A body that never ends is given up after the upload lease; one that breaks off is as if it had never begun.
        assert b" 408 " in talk(server.port, (head + length).encode() + body[:50])
        talk(server.port, (head + length).encode() + body[:50], finish=False)
        assert b" 415 " in talk_once_free(server.port, (head + "Content-Encoding: gzip\r\n" + length).encode() + body)
        assert b" 413 " in talk(server.port, (head + "Content-Length: 99999999999\r\n\r\n").encode())
        chunked = (head + "Transfer-Encoding: chunked\r\n\r\n").encode()
        assert b" 411 " in talk(server.port, chunked, then=b"0\r\n\r\n")
        assert b" 400 " in talk(server.port, (head + "Content-Length: -5\r\n\r\n").encode())
        huge = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Junk: " + b"a" * 20_000 + b"\r\n\r\n"
        assert talk(server.port, huge).split()[1] in (b"431", b"400")
        assert b" 400 " in talk(server.port, b"\x16\x03\x01 nonsense\r\n\r\n")
        assert operator.task(task_id)["reported"] == 0
        assert device.upload(assignment, body).status_code == 200


def test_a_bucket_refills_and_keys_do_not_share() -> None:
    limit = RateLimit(2.0)
    assert [limit.take("a", 0.0) for _ in range(5)] == [0.0] * 4 + [0.5]
    assert limit.take("b", 0.0) == 0.0
    assert limit.take("a", 0.5) == 0.0
    assert RateLimit(0.0).take("a", 0.0) == 0.0


def test_two_bodies_of_a_device_are_in_memory_at_most_and_no_other_device_notices() -> None:
    memory = UploadMemory(100)
    with memory.upload("hog", 10), memory.upload("hog", 10):
        with pytest.raises(TooMany) as caught, memory.upload("hog", 10):
            pytest.fail("a third body was let in")
        assert caught.value.status == 503
        with memory.upload("honest", 10) as body:
            body.take(10)
    assert memory.held_bytes == 0
    with memory.upload("hog", 10):
        pass


def test_memory_for_uploads_is_bounded_but_one_large_upload_always_fits() -> None:
    memory = UploadMemory(100)
    memory.take(1000)
    with pytest.raises(TooMany):
        memory.take(1)
    memory.give_back(1000)
    memory.take(60)
    memory.take(40)
