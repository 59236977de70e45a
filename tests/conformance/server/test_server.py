"""The conformance server finds out what a client does wrong: small clients of a few requests, each with one fault."""

import base64
import hashlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fedrela.conformance.files import VECTORS
from fedrela.conformance.server.cases import load
from fedrela.conformance.server.http_server import ConformanceServer
from fedrela.conformance.server.runner import command, run_case
from fedrela.core import signing, strict, tensors
from fedrela.core.protocol import links, statements
from fedrela.core.wire import EnrollRequest
from tests.coordinator.fleet import Signed

ASSIGNMENT = "/v1/assignments/assignment-1"
KEY = "ab" * 32
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def server() -> Iterator[ConformanceServer]:
    server = ConformanceServer()
    yield server
    server.close()


class Client:
    """Requests of a client that may do anything."""

    def __init__(self, server: ConformanceServer, case: str) -> None:
        self.server, self.case = server, case
        started = httpx.post(f"{server.url}/cases/{case}/start").json()
        self.http = httpx.Client(base_url=started["link"].split("/join#")[0])
        link = links.parse(started["link"])
        proof = signing.sign(KEY, statements.enrollment(link.token, signing.public_key(KEY), link.coordinator))
        enrollment = EnrollRequest(link.token, signing.public_key(KEY), link.coordinator, proof)
        enrolled = self.http.post("/v1/devices", content=strict.to_json(enrollment), headers=JSON)
        self.http.auth = Signed(enrolled.json()["device_token"], KEY)

    def check_in(self, **values: Any) -> httpx.Response:
        body = {
            "population": "default",
            "client": "test 1.0",
            "runtimes": ["onnx 1.30"],
            "nonce": "0f" * 16,
            "features": [],
            "protocol": 1,
        }
        return self.http.post("/v1/check-ins", json=body | values)

    def update(self, body: bytes, **headers: str) -> httpx.Response:
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        usual = {
            "Content-Type": "application/vnd.safetensors",
            "Content-Digest": f"sha-256=:{digest}:",
            "Fedrela-Upload-Token": "upload-token",
        }
        return self.http.put(f"{ASSIGNMENT}/update", content=body, headers=usual | headers)

    def failure(self, code: str) -> httpx.Response:
        return self.http.post(f"{ASSIGNMENT}/failure", json={"code": code, "protocol": 1})

    def verdict(self) -> dict[str, Any]:
        answer: dict[str, Any] = httpx.get(f"{self.server.url}/cases/{self.case}/verdict").json()
        return answer


def right_update(**changed: Any) -> bytes:
    outcome = tensors.read((VECTORS / "rounds" / "max-steps.safetensors").read_bytes())
    arrays = {name.removeprefix("update."): value for name, value in outcome.items() if name != "labels"}
    examples = len(tensors.read((VECTORS / "rounds" / "data.safetensors").read_bytes())["y"])
    metadata = {"protocol": "1", "examples": str(examples), "encoding": "float32"}
    return tensors.to_bytes(arrays, metadata | {name: str(value) for name, value in changed.items()})


def test_a_right_client_passes_step_by_step(server: ConformanceServer) -> None:
    client = Client(server, "plain-round")
    assert client.verdict()["state"] == "pending"
    client.check_in()
    assert client.verdict() == {
        "case": "plain-round", "state": "pending", "faults": [], "log": ["enroll", "check-in"], "kill_now": False
    }  # fmt: skip
    assert client.update(right_update()).json() == {"round": 1, "duplicate": False, "protocol": 1}
    assert client.verdict()["state"] == "passed"
    assert client.check_in().json()["wait"]["reason"] == "finished"
    assert client.verdict()["state"] == "passed"
    client.failure("timed-out")
    assert client.verdict()["state"] == "failed"


def test_what_is_wrong_with_a_request_is_said(server: ConformanceServer) -> None:
    client = Client(server, "plain-round")
    client.check_in(client="Test")
    task = client.check_in().json()["assignment"]["task_sha256"]
    client.http.get(f"/v1/blobs/{task}", headers={"Range": "bytes=1-2"})
    client.update(right_update(examples=3), **{"Content-Digest": "sha-256=x", "Fedrela-Upload-Token": ""})
    client.update(right_update()[:-1])
    client.http.get("/v1/elsewhere", headers={"Authorization": "Bearer x"})
    text = "\n".join(client.verdict()["faults"])
    for words in (
        "check-in: client is 'Test'",
        "Range is 'bytes=1-2'",
        "content-digest is not",
        "fedrela-upload-token is not upload-token",
        "it says 3 examples",
        "sent again with other bytes",
        "nobody asks for GET /v1/elsewhere",
    ):
        assert words in text, text


def test_other_numbers_are_another_update(server: ConformanceServer) -> None:
    client = Client(server, "plain-round")
    client.check_in()
    body = tensors.read(right_update())
    body["9.bias"] = body["9.bias"] * 1.01
    client.update(tensors.to_bytes(body, tensors.read_metadata(right_update())))
    (fault,) = client.verdict()["faults"]
    assert "9.bias is off by 0.0099" in fault


@pytest.mark.parametrize(
    ("case", "reported"),
    [("golden-wrong", "training-failed"), ("forged-signature", "not-eligible"), ("update-refused", "timed-out")],
)
def test_another_failure_than_the_right_one_is_wrong(server: ConformanceServer, case: str, reported: str) -> None:
    client = Client(server, case)
    client.check_in()
    client.failure(reported)
    assert f"failure:{reported}; right is enroll, check-in" in client.verdict()["faults"][0]


def test_a_client_that_looks_into_a_forged_assignment_is_found_out(server: ConformanceServer) -> None:
    client = Client(server, "forged-signature")
    client.http.get("/v1/blobs/" + client.check_in().json()["assignment"]["task_sha256"])
    client.failure("integrity-failed")
    assert client.verdict()["state"] == "failed"


def test_a_client_that_follows_a_redirect_is_found_out(server: ConformanceServer) -> None:
    client = Client(server, "portal-302")
    client.http.follow_redirects = True
    client.check_in()
    assert "nobody asks for" in client.verdict()["faults"][0]


def test_a_client_that_is_too_fast_is_found_out(server: ConformanceServer) -> None:
    client = Client(server, "retry-after")
    for _ in range(2):
        client.check_in()
    assert "after check-in:429 it waited 0.0" in client.verdict()["faults"][0]


def test_a_client_that_starts_a_broken_download_anew_is_found_out(server: ConformanceServer) -> None:
    client = Client(server, "blob-cut")
    address = "/v1/blobs/" + client.check_in().json()["assignment"]["checkpoint_sha256"]
    with pytest.raises(httpx.RemoteProtocolError):
        client.http.get(address)
    client.http.get(address)
    assert client.verdict()["state"] == "failed"


def test_a_client_is_killed_when_the_server_says_so(server: ConformanceServer) -> None:
    client = Client(server, "killed-after-update")
    client.check_in()
    with pytest.raises(httpx.TimeoutException):
        client.http.put(f"{ASSIGNMENT}/update", content=b"", timeout=0.3)
    assert client.verdict()["kill_now"]
    assert httpx.post(f"{server.url}/cases/killed-after-update/killed").json() == {"start_again_seconds": 0.0}
    assert not client.verdict()["kill_now"]


def test_the_control_lists_every_case_and_knows_no_other(server: ConformanceServer) -> None:
    listed = httpx.get(f"{server.url}/cases").json()["cases"]
    assert [item["name"] for item in listed] == list(load())
    assert all(item["about"].endswith(".") and item["right"] for item in listed)
    assert httpx.post(f"{server.url}/cases/nothing/start").status_code == 404
    assert httpx.get(f"{server.url}/at/never-started/v1/check-ins").status_code == 404


def test_a_command_that_does_nothing_or_too_little_fails(server: ConformanceServer, tmp_path: Path) -> None:
    started = time.monotonic()
    verdict = run_case(server, "plain-round", command(f"{sys.executable} -c pass"), tmp_path)
    assert (verdict["state"], verdict["log"]) == ("failed", [])
    assert "it went no further; right is enroll, check-in, update" in verdict["faults"]
    assert time.monotonic() - started < 60


def test_the_document_says_nothing_twice() -> None:
    document = json.loads((VECTORS / "http.json").read_text())
    names = [case["name"] for case in document["cases"]]
    assert len(set(names)) == len(names)
    labels = [answer for case in document["cases"] for script in case.get("script", {}).values() for answer in script]
    assert all(not answer or answer["label"] for answer in labels)


def test_a_file_of_the_page_that_is_there_compressed_alone_says_so(
    server: ConformanceServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<html>")
    (tmp_path / "assets" / "runtime.wasm.br").write_bytes(b"small")
    monkeypatch.setattr(server, "page", tmp_path)
    plain, small = server.page_file(""), server.page_file("assets/runtime.wasm")
    assert (plain.status, plain.body, plain.headers.get("Content-Encoding")) == (200, b"<html>", None)
    assert (small.status, small.body, small.headers["Content-Encoding"]) == (200, b"small", "br")
    assert small.headers["Content-Type"] == "application/wasm"
    for path in ("assets/other.wasm", "assets", "/", "../secret", "."):
        assert server.page_file(path).status == 404, path
