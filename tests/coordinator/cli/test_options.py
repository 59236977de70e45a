"""Options that can't be meant are refused before anybody is asked, and an ambiguous name opens nothing."""

import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from fedrela.coordinator import admin_client
from fedrela.coordinator.access import tokens
from fedrela.coordinator.cli import member_verbs, operator_verbs
from fedrela.coordinator.cli.operator_verbs import app
from fedrela.core.errors import InvalidInput
from fedrela.emulator import evaluating
from tests.coordinator.conftest import KEY, House

NOBODY = ["--url", "http://127.0.0.1:9", "--admin-key", KEY]


def run(*words: str) -> Any:
    """The result of a verb."""
    return CliRunner().invoke(app, list(words))


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e308", "1e6"])
def test_hours_are_those_that_a_coordinator_takes(number: str) -> None:
    refused = run("token", "create", "--hours", number, *NOBODY)
    if number in ("nan", "-inf"):
        assert refused.exit_code == 2  # typer's own
        return
    assert isinstance(refused.exception, InvalidInput)
    assert "--hours is" in str(refused.exception)
    assert "from 0.01 to 87840" in str(refused.exception)
    assert member_verbs.LONGEST_HOURS * 3600 == tokens.MAX_TOKEN_SECONDS


@pytest.mark.parametrize("number", ["nan", "inf", "-1", "1e308"])
def test_an_age_is_a_finite_one(number: str) -> None:
    refused = run("task", "collect", "--min-age-seconds", number, *NOBODY)
    assert isinstance(refused.exception, InvalidInput)
    assert "--min-age-seconds is" in str(refused.exception)
    assert "use a number from 0" in str(refused.exception)


def test_a_round_before_the_start_is_no_round(tmp_path: Path) -> None:
    refused = run("task", "download", "any", str(tmp_path / "x.safetensors"), "--round", "-7", *NOBODY)
    assert refused.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_name_of_two_tasks_downloads_and_evaluates_neither(
    house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ids = [house.publish(1, goal=1) for _ in range(2)]
    http: Any = house.http
    client = admin_client.AdminClient("http://testserver", KEY, http=http)
    monkeypatch.setattr(operator_verbs, "admin", lambda url, admin_key: client)
    refused = run("task", "download", "tiny", str(tmp_path / "x.safetensors"))
    assert "2 tasks are called 'tiny'; name one by its id" in str(refused.exception)
    with pytest.raises(InvalidInput, match="2 tasks are called 'tiny'"):
        next(evaluating.evaluated_rounds(client, "tiny", "none", "", ""))
    assert not (tmp_path / "x.safetensors").exists()
    for task_id in ids:
        done = run("task", "download", task_id, str(tmp_path / f"{task_id}.safetensors"))
        assert done.exit_code == 0, done.exception
    with pytest.raises(InvalidInput, match="there is no task 't-0'"):
        client.find(client.id_of("t-0"))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two key pairs: chain.pem and key.pem, and other.pem."""
    folder = tmp_path_factory.mktemp("certificate")
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    for key, chain in (("key.pem", "chain.pem"), ("other.pem", "other-chain.pem")):
        command = [*make, "-subj", "/CN=localhost", "-keyout", key, "-out", chain]
        subprocess.run(command, cwd=folder, capture_output=True, check=True)
    (folder / "text.pem").write_text("no certificate")
    return folder


@pytest.mark.parametrize(
    ("chain", "key", "says"),
    [
        ("", "key.pem", "--ssl-keyfile is there without --ssl-certfile"),
        ("none.pem", "key.pem", "--ssl-certfile .*none.pem can't be read"),
        ("chain.pem", "none.pem", "--ssl-keyfile .*none.pem can't be read"),
        (".", "key.pem", "--ssl-certfile .* can't be read"),
        ("text.pem", "key.pem", "text.pem and .*key.pem are no certificate chain with its private key"),
        ("chain.pem", "other.pem", "chain.pem and .*other.pem are no certificate chain with its private key"),
        ("chain.pem", "", "chain.pem are no certificate chain with its private key"),
    ],
)
def test_a_certificate_that_makes_no_server_is_named(
    certificate: Path, tmp_path: Path, chain: str, key: str, says: str
) -> None:
    words = [*(["--ssl-certfile", str(certificate / chain)] if chain else [])]
    words += [*(["--ssl-keyfile", str(certificate / key)] if key else [])]
    with pytest.raises(InvalidInput, match=says):
        CliRunner().invoke(
            app, ["serve", "--dev", "--port", "0", "--data", str(tmp_path / "data"), *words], catch_exceptions=False
        )
    assert not (tmp_path / "data").exists()


def test_an_error_of_the_network_is_still_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with httpx.Client(trust_env=False) as http:
        admin = admin_client.AdminClient("http://127.0.0.1:9", KEY, http=http)
        with pytest.raises(Exception, match=r"no coordinator answers at http://127.0.0.1:9 .*refused"):
            admin.get("/tasks")
