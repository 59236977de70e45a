"""What devices are told of a coordinator changes only while none runs that would go on as before."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fedrela.coordinator.cli.operator_verbs import app
from fedrela.core.errors import InvalidInput
from tests.coordinator.conftest import KEY, house_with, settings_for
from tests.coordinator.live_server import SIGNING_KEY

VERBS = (("coordinator", "new-epoch"), ("key", "rotate"))


def say(monkeypatch: pytest.MonkeyPatch, data: Path, database_url: str, *words: str) -> str:
    """What a verb answers about the coordinator whose data these are; raises what it refuses with."""
    monkeypatch.setenv("FEDRELA_ADMIN_KEY", KEY)
    monkeypatch.setenv("FEDRELA_SIGNING_KEY", SIGNING_KEY)
    monkeypatch.setenv("FEDRELA_DATABASE_URL", database_url)
    return CliRunner().invoke(app, [*words, "--data", str(data), "--json"], catch_exceptions=False).output


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_a_running_coordinator_is_left_as_it_is_and_a_stopped_one_is_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bundle_folder: Path, any_database: str, words: tuple[str, str]
) -> None:
    data = tmp_path / "data"
    settings = settings_for(data, database_url=any_database)
    with house_with(settings, bundle_folder), house_with(settings, bundle_folder):  # as two workers
        before = sorted(os.listdir(data))
        with pytest.raises(InvalidInput, match="is running on this database"):
            say(monkeypatch, data, any_database, *words)
        assert sorted(os.listdir(data)) == before  # no key that nothing speaks of
    answer = json.loads(say(monkeypatch, data, any_database, *words))
    assert answer.get("epoch", 2) == 2
    with house_with(settings, bundle_folder):
        pass  # and one can start again
