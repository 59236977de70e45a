"""Who answers may be no coordinator: a redirect, a log-in page, another server. No verb takes that for an answer."""

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from fedrela.coordinator.admin_answers import ANSWERS
from fedrela.coordinator.admin_client import AdminClient
from fedrela.coordinator.cli.operator_verbs import app
from fedrela.core.errors import FedRelaError, InvalidInput, InvalidMessage, Refused
from tests.coordinator.conftest import KEY, House

PAGE = b"<html>Please log in</html>"
VERBS = (
    "device list", "device revoke d-1", "token create", "token list", "token revoke e-1", "task list", "task show t-1",
    "task pause t-1", "task resume t-1", "task cancel t-1", "task rollback t-1 --to 0", "task download t-1 OUT",
    "task collect", "publish BUNDLE TASK", "task create BUNDLE TASK",
)  # fmt: skip


@dataclass(frozen=True)
class Stranger:
    """What a server answers, whatever it is asked."""

    status: int
    body: bytes = PAGE
    content_type: str = "text/html"


STRANGERS = {
    "redirect to https": Stranger(301),
    "redirect to a log-in": Stranger(303),
    "log-in page": Stranger(200),
    "log-in page with another status": Stranger(201),
    "gone with a page": Stranger(404),
    "forbidden with a page": Stranger(403),
    "another server's JSON": Stranger(200, b'{"status": "ok"}', "application/json"),
    "another server's list": Stranger(200, b'[{"id": 1}]', "application/json"),
    "a list of nothing we know": Stranger(200, b"[null]", "application/json"),
    "JSON of another kind": Stranger(201, b"7", "application/json"),
    "a deep nest": Stranger(200, b"[" * 100_000, "application/json"),
    "nothing, as done": Stranger(204, b""),
    "an empty list": Stranger(200, b"[]", "application/json"),
    "bytes that are no text": Stranger(200, b"\xff\xfe\x00", "application/json"),
}


@pytest.fixture(scope="module")
def server() -> Iterator[ThreadingHTTPServer]:
    """A server of this process; what it answers is its `stranger`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            stranger: Stranger = self.server.stranger  # type: ignore[attr-defined]
            self.send_response(stranger.status)
            if 300 <= stranger.status < 400:
                self.send_header("Location", "https://fl.example.org" + self.path)
            self.send_header("Content-Type", stranger.content_type)
            self.send_header("Content-Length", str(len(stranger.body)))
            self.end_headers()
            self.wfile.write(stranger.body)

        do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815

        def log_message(self, *arguments: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def address(server: ThreadingHTTPServer, stranger: Stranger) -> str:
    """Its URL, from now on answering so."""
    server.stranger = stranger  # type: ignore[attr-defined]
    return f"http://127.0.0.1:{server.server_port}"


@pytest.mark.parametrize("name", STRANGERS)
def test_no_request_is_done_by_a_stranger(server: ThreadingHTTPServer, name: str) -> None:
    with httpx.Client(trust_env=False) as http:
        admin = AdminClient(address(server, STRANGERS[name]), KEY, http=http)
        for method, route in ANSWERS:
            with pytest.raises((Refused, InvalidMessage)):
                admin.request(method, route.replace("{}", "1"))
        with pytest.raises((Refused, InvalidMessage)):
            admin.set_clock(1.0)  # a stranger's 404 is no coordinator on real time,
        with pytest.raises((Refused, InvalidMessage)):
            admin.is_trial()  # nor one of version 0.1


@pytest.mark.parametrize("name", ["redirect to https", "log-in page"])
def test_no_verb_says_that_it_is_done(
    server: ThreadingHTTPServer, name: str, bundle_folder: Path, tmp_path: Path
) -> None:
    options = ["--url", address(server, STRANGERS[name]), "--admin-key", KEY]
    (tmp_path / "task.toml").write_text('name = "tiny"\nrounds = 1\n')
    words = {"BUNDLE": str(bundle_folder), "TASK": str(tmp_path / "task.toml"), "OUT": str(tmp_path / "out")}
    for verb in VERBS:
        result = CliRunner().invoke(app, [*(words.get(word, word) for word in verb.split()), *options])
        assert isinstance(result.exception, FedRelaError), (verb, result.output)
        assert result.output == "", verb
        assert str(STRANGERS[name].status) in str(result.exception), verb
    assert not (tmp_path / "out").exists()


def test_a_redirect_says_where_to(server: ThreadingHTTPServer) -> None:
    with httpx.Client(trust_env=False) as http, pytest.raises(Refused, match=r"points to 'https://fl\.example\.org/"):
        AdminClient(address(server, STRANGERS["redirect to https"]), KEY, http=http).request("DELETE", "/devices/d-1")


@pytest.mark.parametrize("device_id", ["", "d-1?x", "d-1#x", "../tokens/e-1", "d-1/", "d 1", "%64-1"])
def test_an_id_names_one_thing_or_nothing(house: House, device_id: str) -> None:
    (device,) = house.devices(1)
    admin = AdminClient("http://testserver", KEY, http=house.http)  # type: ignore[arg-type]
    for odd in (device_id, device_id.replace("d-1", device.device_id)):
        with pytest.raises(InvalidInput, match="is nothing that a coordinator has"):
            admin.request("DELETE", f"/devices/{odd}")
    assert [record["revoked_at"] for record in admin.devices()] == [None]


def test_a_coordinator_that_sends_a_page_of_devices_again_is_not_asked_for_ever(server: ThreadingHTTPServer) -> None:
    device = b'[{"device_id":"d-1","population":"p","enrolled_at":0,"last_assignment_at":null,"revoked_at":null}]'
    with httpx.Client(trust_env=False) as http, pytest.raises(InvalidMessage, match="the same devices again"):
        AdminClient(address(server, Stranger(200, device, "application/json")), KEY, http=http).devices()


def test_every_route_of_operators_has_its_answer(house: House) -> None:
    routes = {}
    for path, methods in house.http.get("/openapi.json").json()["paths"].items():
        if path.startswith("/v1/admin"):
            for method, operation in methods.items():
                (status,) = [int(code) for code in operation["responses"] if code.startswith("2")]
                routes[method.upper(), re.sub(r"\{.*?\}", "{}", path.removeprefix("/v1/admin"))] = status
    assert {route: answer.status for route, answer in ANSWERS.items()} == routes


@pytest.mark.parametrize("key", ["schlüssel", "two\nlines"])
def test_an_admin_key_that_no_header_holds_is_an_error_with_a_remedy(server: ThreadingHTTPServer, key: str) -> None:
    with httpx.Client(trust_env=False) as http, pytest.raises(FedRelaError, match="--"):
        AdminClient(address(server, STRANGERS["log-in page"]), key, http=http).get("/tasks")


@pytest.mark.parametrize("end", [" ", "\r", "\t", "\x00", "é", "\r\nX-Other: 1"])
def test_an_error_never_repeats_a_key(server: ThreadingHTTPServer, end: str) -> None:
    url = address(server, STRANGERS["log-in page"])
    with httpx.Client(trust_env=False) as http:
        for key in ("secret" * 5 + end, end + "secret" * 5):
            with pytest.raises(InvalidInput, match="FEDRELA_ADMIN_KEY") as caught:
                AdminClient(url, key, http=http)
            assert "secret" not in str(caught.value)
        admin = AdminClient(url, KEY, http=http)
        admin._headers["Authorization"] = "Bearer " + "secret" * 5 + end  # what httpx and h11 say of it, whatever it is
        with pytest.raises(FedRelaError) as refused:
            admin.get("/tasks")
        assert "secret" not in str(refused.value)


def test_a_shell_s_network_settings_that_can_t_be_used_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/at/all.pem")
    with pytest.raises(InvalidInput, match="SSL_CERT_FILE"):
        AdminClient("https://127.0.0.1:9", KEY)
