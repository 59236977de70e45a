"""The publisher's key: made once, readable by its owner alone, and never a file that holds something else."""

import stat
from multiprocessing.pool import ThreadPool
from pathlib import Path

import pytest

from fedrela.core import signing
from fedrela.core.errors import InvalidInput
from fedrela.export import publisher_key


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path


def test_it_is_made_on_first_use_and_said_once(folder: Path) -> None:
    said: list[str] = []
    key = publisher_key.load(None, said.append)
    assert publisher_key.load(None, said.append) == key
    file = folder / "fedrela" / "publisher.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.iterdir()) == [file]
    (line,) = said
    assert signing.fingerprint(signing.public_key(key)) in line
    assert "offline" in line
    assert key not in line


def test_exports_that_begin_together_sign_with_one_key(folder: Path) -> None:
    with ThreadPool(8) as pool:
        assert len(set(pool.map(lambda _: publisher_key.load(None, lambda line: None), range(8)))) == 1


@pytest.mark.parametrize("text", ["", "zz" * 32, "ab" * 31, "ab" * 33])
def test_a_file_that_holds_no_key_is_refused(folder: Path, text: str) -> None:
    file = folder / "key"
    file.write_text(text)
    with pytest.raises(InvalidInput, match="holds no publisher's key"):
        publisher_key.load(file, print)


def test_a_named_file_is_never_made(folder: Path) -> None:
    with pytest.raises(InvalidInput, match="holds no publisher's key"):
        publisher_key.load(folder / "nothing", print)
    assert list(folder.iterdir()) == []
