"""The verbs for a stopped coordinator need one: nothing is made for them, and no key is ever overwritten."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from fedrela.coordinator.cli.operator_verbs import app
from fedrela.coordinator.storage import schema
from fedrela.coordinator.storage.store import Database
from fedrela.core.errors import InvalidInput
from tests.coordinator.conftest import KEY, house_with, settings_for
from tests.coordinator.live_server import SIGNING_KEY

VERBS = (("coordinator", "new-epoch"), ("key", "rotate"), ("coordinator", "backup", "copy"))


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The secrets, and a working folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FEDRELA_ADMIN_KEY", KEY)
    monkeypatch.setenv("FEDRELA_SIGNING_KEY", SIGNING_KEY)
    monkeypatch.setenv("FEDRELA_DEV", "")


def run(*words: str) -> Any:
    """The result of a verb."""
    return CliRunner().invoke(app, list(words))


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
@pytest.mark.parametrize("dev", [False, True])
def test_a_coordinator_that_is_not_there_is_not_made(
    words: tuple[str, ...], dev: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if dev:
        monkeypatch.delenv("FEDRELA_ADMIN_KEY")
        monkeypatch.delenv("FEDRELA_SIGNING_KEY")
    refused = run(*words, "--data", "nowhere", *(["--dev"] if dev else []))
    assert isinstance(refused.exception, InvalidInput)
    assert "--data" in str(refused.exception)
    (tmp_path / "empty").mkdir()
    assert isinstance(run(*words, "--data", "empty", *(["--dev"] if dev else [])).exception, InvalidInput)
    assert sorted(os.listdir(tmp_path)) == ["empty"]
    assert os.listdir(tmp_path / "empty") == []


@pytest.mark.parametrize("words", VERBS[:2], ids=" ".join)
def test_an_empty_file_is_no_coordinator_s_database(words: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "coordinator.sqlite").touch()
    refused = run(*words, "--data", str(tmp_path))
    assert "no coordinator's" in str(refused.exception)
    assert os.listdir(tmp_path) == ["coordinator.sqlite"]
    assert (tmp_path / "coordinator.sqlite").read_bytes() == b""


@pytest.mark.parametrize("words", VERBS[:2], ids=" ".join)
def test_a_postgresql_database_that_is_no_coordinator_s_stays_empty(
    words: tuple[str, ...], new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = new_database()
    monkeypatch.setenv("FEDRELA_DATABASE_URL", url)
    refused = run(*words, "--data", str(tmp_path))
    assert isinstance(refused.exception, InvalidInput)
    assert "no coordinator's" in str(refused.exception)
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    assert sa.inspect(engine).get_table_names() == []
    engine.dispose()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("output", [[], ["--output", "other.key"]])
def test_a_new_key_overwrites_nothing_and_a_refusal_leaves_the_database(
    output: list[str], tmp_path: Path, bundle_folder: Path
) -> None:
    data = tmp_path / "data"
    with house_with(settings_for(data), bundle_folder):
        pass
    there = tmp_path / output[1] if output else data / "signing.key.new"
    there.write_text("somebody's\n")
    there.chmod(0o644)
    before = (data / "coordinator.sqlite").read_bytes()
    refused = run("key", "rotate", "--data", str(data), *output)
    assert "is there already" in str(refused.exception)
    assert "--output" in str(refused.exception)
    assert there.read_text() == "somebody's\n"
    assert (data / "coordinator.sqlite").read_bytes() == before
    there.unlink()
    assert run("key", "rotate", "--data", str(data), *output).exit_code == 0
    assert there.stat().st_mode & 0o777 == 0o600
    store = Database(f"sqlite:///{data / 'coordinator.sqlite'}")
    with store.read() as view:
        assert view.scalar(sa.select(sa.func.count()).select_from(schema.key_rotations)) == 1
    store.close()
