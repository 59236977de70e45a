"""The verbs of device, operator and emulator go through one proxy, and take no setting for a crash."""

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from fedrela.cli import app
from fedrela.coordinator.admin_client import AdminClient
from fedrela.core import signing
from fedrela.core.errors import FedRelaError, InvalidInput, MissingDependency, Unavailable
from fedrela.edge.network.api import Retry
from fedrela.edge.owner import cli
from fedrela.emulator.emulation import CoordinatorAccess, admin_of

KEY = "k" * 32
ELSEWHERE = "http://fl.example.invalid"  # no resolver knows it: what arrives has come through the proxy
LINK = f"{ELSEWHERE}/join#token.{signing.fingerprint('00' * 32)}"
NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.chdir(tmp_path)


@contextmanager
def proxy() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A proxy that knows the way to nobody; its address, and what it was asked for by whom."""
    asked: list[tuple[str, str]] = []

    class Proxy(BaseHTTPRequestHandler):
        def answer(self) -> None:
            asked.append((self.path, self.headers.get("Proxy-Authorization", "")))
            self.send_response(403)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST = do_CONNECT = answer  # noqa: N815

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://me:secret@127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def run(*words: str) -> FedRelaError:
    """What a verb raises."""
    result = CliRunner().invoke(app, list(words))
    assert isinstance(result.exception, FedRelaError), (result.output, result.exc_info)
    return result.exception


VERBS = {
    "enroll": ("device", "enroll", LINK, "--insecure", "--state", "state"),
    "task": ("task", "list", "--url", ELSEWHERE, "--admin-key", KEY),
    "evaluate": ("evaluate", "any", "--data", "x.npz", "--url", ELSEWHERE, "--admin-key", KEY),
    "emulate": ("emulate", "ci", "--task", "any", "--url", ELSEWHERE, "--admin-key", KEY, "--quiet"),
}


@pytest.fixture(params=VERBS)
def verb(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    words = VERBS[request.param]
    monkeypatch.setattr("sys.argv", ["fedrela", *words])
    return words


def test_every_verb_goes_through_the_proxy(verb: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy() as (address, asked):
        monkeypatch.setenv("HTTP_PROXY", address)
        run(*verb)
    assert asked
    path, by = asked[0]
    assert path.startswith(ELSEWHERE + "/v1/")
    assert by == "Basic " + base64.b64encode(b"me:secret").decode()


@pytest.mark.parametrize(
    ("name", "value"),
    [("ALL_PROXY", "socks5://127.0.0.1:1080"), ("ALL_PROXY", "nonsense://x"), ("HTTP_PROXY", "http://[::1")],
)
def test_a_proxy_that_can_not_be_used_is_one_of_our_errors(
    verb: tuple[str, ...], name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert isinstance(run(*verb), InvalidInput | MissingDependency)


@pytest.mark.parametrize("value", ["localhost,[::1]", "fe80::/10", "[", "::1"])
def test_an_address_in_no_proxy_ends_no_verb(
    verb: tuple[str, ...], value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxy() as (address, asked):
        monkeypatch.setenv("HTTP_PROXY", address)
        monkeypatch.setenv("NO_PROXY", value)
        run(*verb)
    assert asked


@pytest.mark.parametrize("text", [None, "", "no certificate"])
def test_wrong_certificates_are_named(text: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "own.pem"
    if text is not None:
        file.write_text(text)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    for open_ in (
        lambda: cli._api("https://x.example"),
        lambda: AdminClient("https://x.example", KEY),
        lambda: admin_of(CoordinatorAccess("https://x.example", KEY)).__enter__(),
        lambda: CoordinatorAccess("https://x.example", KEY).devices_transport(),
    ):
        with pytest.raises(InvalidInput, match="SSL_CERT_FILE"):
            open_()


def test_emulated_devices_ask_the_proxy_for_a_tunnel(monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy() as (address, asked):
        monkeypatch.setenv("HTTPS_PROXY", address)
        way = CoordinatorAccess("https://fl.example.invalid", KEY).devices_transport()
        with way, pytest.raises(httpx.ConnectError, match="403"):
            way.handle_request(httpx.Request("GET", "https://fl.example.invalid/v1/keys"))
    assert asked == [("fl.example.invalid:443", "Basic " + base64.b64encode(b"me:secret").decode())]


def test_a_key_or_an_address_that_http_can_not_carry_is_one_of_our_errors() -> None:
    with pytest.raises(InvalidInput, match="plain ASCII"):
        AdminClient("http://127.0.0.1:1", "schlüssel").get("/tasks")
    with pytest.raises(InvalidInput, match="is not a URL"):
        AdminClient("http://[::1", KEY)
    api = cli._api("http://127.0.0.1:1")
    api.retry = Retry(attempts=1)
    with pytest.raises(Unavailable):
        api.keys()
