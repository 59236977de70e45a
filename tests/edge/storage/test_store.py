"""Both stores keep the same promises; the folder is private and its writes are all or nothing."""

import stat
from pathlib import Path

import pytest

from fedrela.core.errors import InvalidInput, Unavailable
from fedrela.edge.storage.store import FolderStore, MemoryStore, Store


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return FolderStore(tmp_path / "state") if request.param == "folder" else MemoryStore()


def test_put_get_append_delete_keys_clear(store: Store) -> None:
    assert store.get("assignment/update") is None
    store.put("assignment/update", b"one")
    store.put("assignment/update", b"two")
    store.append("log/sent.jsonl", b"a\n")
    store.append("log/sent.jsonl", b"b\n")
    store.put("blobs/" + "a" * 64, b"")
    assert store.get("assignment/update") == b"two"
    assert store.get("log/sent.jsonl") == b"a\nb\n"
    assert store.keys() == ["assignment/update", "blobs/" + "a" * 64, "log/sent.jsonl"]
    assert store.keys("assignment/") == ["assignment/update"]
    store.delete("assignment/update")
    store.delete("assignment/update")
    assert store.get("assignment/update") is None
    store.clear()
    assert store.keys() == []


def test_appending_to_what_was_put_goes_on_from_it(store: Store) -> None:
    store.put("partial/x", b"abc")
    store.append("partial/x", b"def")
    assert store.get("partial/x") == b"abcdef"


@pytest.mark.parametrize(
    "key", ["../x", "/etc/passwd", "a/../../b", "a//b", "", ".", "a/.", "A", "a\0b", "a/b~", "a\n"]
)
def test_no_key_leaves_the_folder(tmp_path: Path, key: str) -> None:
    store = FolderStore(tmp_path / "state")
    for act in (store.get, store.delete, lambda k: store.put(k, b""), lambda k: store.append(k, b"")):
        with pytest.raises(InvalidInput, match="not a key"):
            act(key)
    assert list(tmp_path.rglob("*")) == []


def test_the_folder_is_its_owners_alone(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "state")
    store.put("identity.json", b"{}")
    store.append("log/sent.jsonl", b"{}")
    for path in (tmp_path / "state").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
    (tmp_path / "state").chmod(0o755)
    FolderStore(tmp_path / "state")
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FolderStore(tmp_path)
    store.put("assignment/update", b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fedrela.edge.storage.store.os.fsync", full)
    with pytest.raises(Unavailable, match=r"No space left.*free some disk space"):
        store.put("assignment/update", b"new")
    monkeypatch.undo()
    assert store.get("assignment/update") == b"old"
    assert store.keys() == ["assignment/update"]
    assert not list(tmp_path.rglob("*~"))


def test_a_folder_that_can_not_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InvalidInput, match="--state"):
        FolderStore(tmp_path / "file" / "state")
