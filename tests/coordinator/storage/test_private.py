"""Nothing of a coordinator can be read by other accounts of its machine; the secrets of a trial are never empty."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedrela.coordinator.settings import Settings
from fedrela.coordinator.storage import private
from fedrela.coordinator.storage.store import Database
from tests.coordinator.conftest import house_with, settings_for

OTHERS = 0o077


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    """As most accounts have it: new files are readable by all."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def readable(folder: Path) -> list[str]:
    """What other accounts could read below a folder, or of it."""
    if folder.stat().st_mode & OTHERS == 0:
        return []
    return [str(folder), *(str(path) for path in folder.rglob("*") if path.stat().st_mode & OTHERS)]


def test_a_new_data_folder_is_closed_and_so_is_the_database(tmp_path: Path, bundle_folder: Path) -> None:
    with house_with(settings_for(tmp_path / "data"), bundle_folder) as house:
        house.publish(1)
        data = tmp_path / "data"
        assert readable(data) == []
        assert [path.name for path in data.glob("coordinator.sqlite*") if path.stat().st_mode & OTHERS] == []
        assert readable(data / "blobs") == []
        assert len(list(data.glob("coordinator.sqlite*"))) == 3


def test_the_data_folder_is_closed_where_the_blobs_make_it(tmp_path: Path) -> None:
    private.make_folder(tmp_path / "data" / "blobs" / "public")  # the database is elsewhere, as PostgreSQL's
    assert readable(tmp_path / "data") == []
    assert [path for path in (tmp_path / "data").rglob("*") if path.stat().st_mode & OTHERS] == []


def test_what_an_older_version_left_open_is_closed(tmp_path: Path, bundle_folder: Path) -> None:
    data = tmp_path / "data"
    with house_with(settings_for(data), bundle_folder) as house:
        house.publish(1)
    for path in (data, *data.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    with house_with(settings_for(data), bundle_folder):
        assert readable(data) == []
        assert (data / "coordinator.sqlite").stat().st_mode & OTHERS == 0


def test_a_folder_of_somebody_else_keeps_its_mode_and_ours_in_it_are_closed(
    tmp_path: Path, bundle_folder: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o755)
    with house_with(settings_for(home), bundle_folder):
        assert home.stat().st_mode & 0o777 == 0o755
        assert (home / "coordinator.sqlite").stat().st_mode & OTHERS == 0
        assert readable(home / "blobs") == []


def test_a_database_elsewhere_is_closed_too(tmp_path: Path) -> None:
    Database(f"sqlite:///{tmp_path / 'elsewhere' / 'x.sqlite'}").close()
    assert (tmp_path / "elsewhere" / "x.sqlite").stat().st_mode & OTHERS == 0


@pytest.mark.parametrize("left", ["", "\n"])
@pytest.mark.parametrize("name", ["admin.key", "signing.key"])
def test_an_empty_secret_that_a_crash_left_is_made_anew(tmp_path: Path, name: str, left: str) -> None:
    (tmp_path / name).write_text(left)
    environment = {"FEDRELA_DEV": "1", "FEDRELA_DATA": str(tmp_path)}
    first = Settings.from_environment(environment)
    assert Settings.from_environment(environment) == first
    assert (tmp_path / name).stat().st_mode & OTHERS == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["admin.key", "signing.key"]


def test_a_crash_while_a_secret_is_written_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(descriptor: int) -> None:
        raise KeyboardInterrupt

    environment = {"FEDRELA_DEV": "1", "FEDRELA_DATA": str(tmp_path)}
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", killed)
        with pytest.raises(KeyboardInterrupt):
            Settings.from_environment(environment)
    assert not (tmp_path / "admin.key").exists()
    assert len(Settings.from_environment(environment).admin_key) == 64
