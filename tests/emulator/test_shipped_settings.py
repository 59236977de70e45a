"""Settings files by name or path."""

from dataclasses import replace
from pathlib import Path

import pytest

from fedrela.core.errors import InvalidInput
from fedrela.emulator.shipped_settings import ShippedSettings

SHIPPED = ShippedSettings("scenario", "fedrela.emulator", "scenarios", lambda text: text.count("\n"), InvalidInput)


def test_a_shipped_file_is_found_by_name_and_its_paths_are_relative_to_here():
    lines, folder = SHIPPED.load("ci")
    assert "ci" in SHIPPED.names()
    assert lines > 10
    assert folder == Path.cwd()


def test_ones_own_file_is_found_by_path_with_its_folder(tmp_path):
    (tmp_path / "own.toml").write_text("a\nb\n")
    assert SHIPPED.load(str(tmp_path / "own.toml")) == (2, tmp_path)


def test_a_former_name_is_found_where_no_file_has_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    renamed = replace(SHIPPED, former_names={"before": "ci"})
    assert renamed.load("before") == SHIPPED.load("ci")
    (tmp_path / "before").write_text("a\n")
    assert renamed.load("before")[0] == 1


def test_what_is_not_there_is_named_with_what_is():
    with pytest.raises(InvalidInput, match="there is no scenario 'nonsense'") as caught:
        SHIPPED.load("nonsense")
    assert "huge" in caught.value.remedy
