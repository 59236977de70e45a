"""What `fedrela doctor` says of a machine: what is installed, what is missing, and what keeps it from taking part."""

import json
import sys
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from fedrela.core.environment import extras
from fedrela.edge.network import connection
from fedrela.edge.owner import doctor

URL = "https://fl.example.org"


def answering(monkeypatch: pytest.MonkeyPatch, **answer: object) -> None:
    """Whoever is asked gives this answer."""
    transport = httpx.MockTransport(lambda request: httpx.Response(**answer))  # type: ignore[arg-type]
    monkeypatch.setattr(connection, "client", lambda url: httpx.Client(transport=transport))


def run(*words: str) -> tuple[int, str]:
    """Exit status and output."""
    result = CliRunner().invoke(doctor.app, ["doctor", *words])
    return result.exit_code, result.output


def test_a_machine_with_everything(tmp_path: Path) -> None:
    status, said = run("--state", str(tmp_path / "state"), "--json")
    told = json.loads(said)
    assert (status, told["problems"], told["coordinator"]) == (0, [], None)
    assert {"edge", "coordinator", "export"} <= set(told["installed"])
    assert told["device"]["enrolled"] is False
    assert told["device"]["conditions"]["free_memory_bytes"] > 0
    status, text = run("--state", str(tmp_path / "state"))
    assert "not enrolled" in text
    assert "none was asked: name one with --url" in text
    assert not (tmp_path / "state").exists()


def test_what_is_missing_is_said_with_its_install_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    status, text = run("--state", str(tmp_path))
    assert status == 0  # a coordinator needs none
    assert f"edge: onnxruntime   ({extras.install_line('edge')})" in text
    assert "sensors" not in text


def test_an_operator_s_machine_without_a_device_asks_for_its_coordinator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, status_code=200, json={"status": "ok"})
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    status, text = run("--state", str(tmp_path), "--url", URL)
    assert status == 0
    assert f"{URL} answers" in text
    monkeypatch.setitem(sys.modules, "httpx", None)
    status, text = run("--state", str(tmp_path), "--url", URL)
    assert status == 1
    assert "httpx is missing" in text


def test_whole_seconds_and_a_slow_answer_are_no_difference_of_clocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, status_code=200, json={"status": "ok"}, headers={"Date": "Wed, 01 Jan 2020 00:00:00 GMT"})
    for now, words in ((1577836802.9, "as the coordinator's"), (1577836806.0, "6 s ahead of the coordinator's")):
        monkeypatch.setattr(doctor.time, "time", lambda now=now: now)
        assert words in run("--state", str(tmp_path / "state"), "--url", URL)[1]


def test_a_coordinator_that_answers_and_its_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, status_code=200, json={"status": "ok"}, headers={"Date": "Wed, 01 Jan 2020 00:00:00 GMT"})
    status, text = run("--state", str(tmp_path / "state"), "--url", URL)
    assert status == 1
    assert f"{URL} answers" in text
    assert "clock and the coordinator's differ" in text


@pytest.mark.parametrize(("answer", "words"), [
    ({"status_code": 200, "text": "<html>Please log in</html>"}, "can't be reached"),
    ({"status_code": 404, "json": {}}, "is no coordinator"),
])  # fmt: skip
def test_somebody_else_is_no_coordinator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: dict[str, object], words: str
) -> None:
    answering(monkeypatch, **answer)
    status, text = run("--state", str(tmp_path / "state"), "--url", URL)
    assert (status, words in text) == (1, True), text


def test_nobody_answers(tmp_path: Path) -> None:
    status, text = run("--state", str(tmp_path / "state"), "--url", "http://127.0.0.1:9")
    assert status == 1
    assert "http://127.0.0.1:9 can't be reached" in text
