"""The fleet's key: in a file of its maker's, and its traces in links alone."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fedrela.coordinator.cli.operator_verbs import app
from fedrela.core import signing
from fedrela.core.errors import InvalidInput
from fedrela.core.protocol import links
from fedrela.core.secure import fleet
from tests.coordinator.conftest import KEY, Server

RUNNER = CliRunner()


def make(file: Path) -> dict[str, str]:
    """`fedrela fleet key`."""
    made = RUNNER.invoke(app, ["fleet", "key", str(file), "--json"], catch_exceptions=False)
    shown: dict[str, str] = json.loads(made.output)
    return shown


def test_a_key_is_its_owner_s_alone_and_never_replaced(tmp_path: Path) -> None:
    file = tmp_path / "fleet.key"
    shown = make(file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert signing.public_key(file.read_text().strip()) == shown["public_key"]
    assert shown["fingerprint"] == signing.fingerprint(shown["public_key"])
    before = file.read_text()
    refused = RUNNER.invoke(app, ["fleet", "key", str(file)])
    assert "is there already" in str(refused.exception)
    assert file.read_text() == before
    assert before.strip() not in RUNNER.invoke(app, ["fleet", "key", str(tmp_path / "other.key")]).output


def test_links_carry_the_fleet_s_word_and_the_coordinator_never_holds_it(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bundle_folder: Path
) -> None:
    server.start()
    monkeypatch.setenv("FEDRELA_URL", server.url)
    monkeypatch.setenv("FEDRELA_ADMIN_KEY", KEY)
    file, device = tmp_path / "fleet.key", signing.public_key("07" * 32)
    pinned = make(file)["fingerprint"]
    words = ["token", "create", "--json", "--publisher", "0f" * 16, "--fleet-key", str(file)]
    made = [RUNNER.invoke(app, [*words, "--population", "our.fleet-1"], catch_exceptions=False) for _ in range(2)]
    memberships = [fleet.read_part(links.parse(json.loads(one.output)["link"]).fleet) for one in made]
    for membership in memberships:
        assert membership.population == "our.fleet-1"
        fleet.check(membership.certificate(device), device, "our.fleet-1", pinned)
    assert memberships[0].token_seed != memberships[1].token_seed
    secrets = [file.read_text().strip(), *(membership.token_seed for membership in memberships)]
    stored = b"".join(path.read_bytes() for path in server.folder.rglob("*") if path.is_file())
    assert stored
    assert not any(secret.encode() in stored for secret in secrets)


@pytest.mark.parametrize("content", ["", "no key", "ab" * 31, None])
def test_what_is_no_key_makes_no_token(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "fleet.key"
    if content is not None:
        file.write_text(content)
    refused = RUNNER.invoke(
        app, ["token", "create", "--fleet-key", str(file), "--admin-key", "k", "--url", "http://127.0.0.1:9"]
    )
    assert isinstance(refused.exception, InvalidInput)
    assert "fedrela fleet key" in str(refused.exception)
