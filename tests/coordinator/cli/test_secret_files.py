"""Secrets in files: a private key in a new one only, other secrets in the place of what was there."""

from pathlib import Path

import pytest

from fedrela.coordinator.cli import secret_files
from fedrela.core.errors import InvalidInput

KEY = "ab" * 32


def test_a_private_key_never_goes_into_a_file_that_is_there(tmp_path: Path) -> None:
    there, link = tmp_path / "there", tmp_path / "link"
    there.write_text("before")
    there.chmod(0o644)
    link.symlink_to(tmp_path / "nothing")
    for path in (there, link, tmp_path):
        with pytest.raises(InvalidInput, match=r"is there already; .*name another one"):
            secret_files.write_new(path, KEY, "name another one")
    assert there.read_text() == "before"
    assert sorted(tmp_path.iterdir()) == [link, there]
    secret_files.write_new(tmp_path / "new", KEY, "name another one")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600
    assert secret_files.read(tmp_path / "new") == KEY


def test_another_secret_replaces_a_file_and_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "code.svg"
    for before in (None, 0o644):
        if before:
            path.chmod(before)
        with path.open() if before else Path("/dev/null").open() as reader:
            secret_files.replace(path, f"secret {before}")
            assert "420" not in reader.read()  # whoever had it open sees nothing new
        assert path.read_text() == f"secret {before}\n"
        assert path.stat().st_mode & 0o777 == 0o600
        assert list(tmp_path.iterdir()) == [path]


def test_a_place_where_no_file_can_be_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none" / "file", Path("/dev/null")):
        with pytest.raises(InvalidInput, match=str(path)):
            secret_files.replace(path, "secret")
    assert list(tmp_path.iterdir()) == []
