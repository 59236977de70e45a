"""Requests over sockets: many at once in one thread, over connections that are kept, and what becomes of failures."""

import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from fedrela.emulator.connections import sockets
from fedrela.emulator.connections.sockets import CONNECTIONS, SocketTransport
from tests.patience import PATIENCE_SECONDS


class Handler(BaseHTTPRequestHandler):
    """Echoes; a request for /together is answered when as many as there are connections have come."""

    protocol_version = "HTTP/1.1"
    together = threading.Barrier(CONNECTIONS)

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/together":
            with suppress(threading.BrokenBarrierError):
                self.together.wait(PATIENCE_SECONDS)
        if self.path == "/cut":
            self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")
            self.close_connection = True
            return
        self.send_response(201)
        self.send_header("content-length", str(len(body)))
        self.send_header("said", f"{self.headers['x-own']} {self.headers['host']} {self.client_address[1]}")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def url(server):
    return f"http://127.0.0.1:{server.server_port}"


@pytest.fixture
def transport(url):
    with SocketTransport(url) as transport:
        yield transport


def put(url, path, body=b"body"):
    return httpx.Request("PUT", url + path, content=body, headers={"X-Own": "a"})


def test_a_request_arrives_as_it_is_and_its_connection_is_used_again(transport, url):
    first, second = (transport.handle_request(put(url, "/echo", body)) for body in (b"one", b"x" * 3_000_000))
    assert (first.status_code, first.read(), len(second.read())) == (201, b"one", 3_000_000)
    own, host, _ = first.headers["said"].split()
    assert (own, f"http://{host}") == ("a", url)
    assert first.headers["said"] == second.headers["said"]  # the port too


def test_as_many_as_there_are_connections_are_under_way_at_once_and_the_others_wait(transport, url):
    answers = []
    for number in range(2 * CONNECTIONS):
        transport.begin(put(url, "/together", str(number).encode()), answers.append)
    while len(answers) < 2 * CONNECTIONS:
        transport.collect(wait=True)
    assert sorted(int(answer.read()) for answer in answers) == list(range(2 * CONNECTIONS))


def test_nothing_is_waited_for_unless_asked(transport, url):
    transport.collect(wait=True)  # nothing is under way
    answers = []
    transport.begin(put(url, "/echo"), answers.append)
    while not answers:
        transport.collect(wait=False)
    assert answers[0].status_code == 201


def test_a_cut_answer_and_a_coordinator_that_is_away_are_transport_errors(transport, url):
    with pytest.raises(httpx.ReadError):
        transport.handle_request(put(url, "/cut"))
    with SocketTransport("http://127.0.0.1:1") as nobody, pytest.raises(httpx.ConnectError):
        nobody.handle_request(put("http://127.0.0.1:1", "/echo"))


def test_a_connection_that_rested_is_not_used_again(transport, url, monkeypatch):
    first = transport.handle_request(put(url, "/echo"))
    monkeypatch.setattr(sockets, "IDLE_SECONDS", 0.0)
    second = transport.handle_request(put(url, "/echo"))
    assert first.headers["said"] != second.headers["said"]


def test_an_answer_that_does_not_come_is_given_up(transport, url, monkeypatch):
    monkeypatch.setattr(sockets, "TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr(Handler, "together", threading.Barrier(2))
    answers = []
    transport.begin(put(url, "/together"), answers.append)
    transport.collect(wait=True)
    assert isinstance(answers[0], httpx.ReadError)
    Handler.together.abort()
