"""A device touches and deletes what it made, and nothing of anybody else's; and it says what it did."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from typer.testing import CliRunner

from fedrela.core.errors import FedRelaError, InvalidInput, Unavailable
from fedrela.edge.owner.cli import app
from fedrela.edge.storage import state, state_folder
from fedrela.edge.storage.state import Identity
from fedrela.edge.storage.store import FolderStore

IDENTITY = Identity("http://127.0.0.1:1", "", "", "", "", "1" * 64, "2" * 64)
NOBODY = 65534
VERSION_0_1 = Path(__file__).parents[2] / "migration/version_0_1/devices"


def fedrela(*words: str) -> str:
    result = CliRunner().invoke(app, ["device", *words])
    if isinstance(result.exception, FedRelaError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def somebodys(tmp_path: Path) -> Path:
    """A folder that no device made, with names in it that a device uses too."""
    folder = tmp_path / "home"
    for name in ("thesis.tex", "log/sent.jsonl", "blobs/x", "identity.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text('{"url": "of something else"}')
    folder.chmod(0o755)
    return folder


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    paths = [folder, *sorted(folder.rglob("*"))]
    return {str(path): (path.stat().st_mode, path.read_bytes() if path.is_file() else b"") for path in paths}


@pytest.mark.parametrize("verb", [["forget", "--yes"], ["forget", "--yes", "--offline"], ["status"], ["show-upload"]])
def test_a_folder_of_somebodys_stays_as_it_is(somebodys: Path, verb: list[str]) -> None:
    before = snapshot(somebodys)
    with pytest.raises(InvalidInput, match=r"no device's state folder: it holds blobs, identity.json, log"):
        fedrela(*verb, "--state", str(somebodys))
    assert snapshot(somebodys) == before


def test_a_question_makes_no_folder(tmp_path: Path) -> None:
    assert json.loads(fedrela("status", "--state", str(tmp_path / "none"), "--json"))["enrolled"] is False
    fedrela("show-upload", "--state", str(tmp_path / "none"))
    assert list(tmp_path.iterdir()) == []


def test_forgetting_through_a_link_deletes_key_and_token(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    state.save_identity(FolderStore(real), IDENTITY)
    link.symlink_to(real)
    assert "the folder itself stays" in fedrela("forget", "--state", str(link), "--yes")
    assert list(real.iterdir()) == []


def test_what_a_device_did_not_make_stays_and_is_named(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "state", tmp_path / "large-disk"
    store = FolderStore(folder)
    state.save_identity(store, IDENTITY)
    store.put("last/update", b"body")
    elsewhere.mkdir()
    (elsewhere / "photo.jpg").write_bytes(b"mine")
    (folder / "blobs").symlink_to(elsewhere)
    (folder / "notes.txt").write_text("mine")
    said = fedrela("forget", "--state", str(folder), "--yes")
    assert "still there: notes.txt, blobs (a link" in said
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    assert (elsewhere / "photo.jpg").read_bytes() == b"mine"


def test_the_folder_of_version_0_1_is_known_by_its_identity(tmp_path: Path) -> None:
    for name in ("idle", "halfway"):
        folder = tmp_path / name
        shutil.copytree(VERSION_0_1 / name, folder)
        assert state_folder.is_state_folder(folder)
        FolderStore(folder).clear()
        assert not folder.exists(), "everything in it was a device's"


def test_an_empty_folder_and_one_with_a_former_lock_can_be_taken(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    FolderStore(tmp_path).put("status.json", b"{}")
    assert (tmp_path / state_folder.MARK).is_file()
    FolderStore(tmp_path).put("status.json", b"{}")


def test_drafts_that_a_crash_left_go_at_the_next_start(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "state")
    store.put("blobs/abc", b"whole")
    (tmp_path / "state/blobs/def~").write_bytes(b"half")
    with store.lock():
        assert sorted(path.name for path in (tmp_path / "state/blobs").iterdir()) == ["abc"]


@pytest.mark.parametrize("act", ["get", "put", "append", "delete", "lock"])
def test_every_fault_of_the_file_system_is_one_of_ours(tmp_path: Path, act: str) -> None:
    """As root no file is forbidden, so a link that leads to itself stands for whatever the system refuses."""
    folder = tmp_path / "state"
    store = FolderStore(folder)
    store.put("log/kept", b"")
    acts = {
        "get": lambda: store.get("log/x"),
        "put": lambda: store.put("log/x/y", b""),
        "append": lambda: store.append("log/x", b""),
        "delete": lambda: store.delete("last"),
        "lock": lambda: store.lock().__enter__(),
    }
    for name in ("log/x", "lock"):
        (folder / name).symlink_to(folder / name)
    (folder / "last").mkdir()
    with pytest.raises(Unavailable, match=r"can't be (read|written|deleted)"):
        acts[act]()


def test_files_of_another_user_name_the_command_that_gives_them_back() -> None:
    """What `sudo fedrela device run` leaves in a user's folder."""
    with TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        folder = Path(place) / "state"
        state.save_identity(FolderStore(folder), IDENTITY)
        (folder / "identity.json").chmod(0)
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        assert as_nobody(lambda: state.load_identity(FolderStore(folder))) == "sudo chown -R"


def as_nobody(act: Callable[[], object]) -> str:
    """The command in the remedy of what `act` raises, in a process that isn't root."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        try:
            if os.geteuid() == 0:
                os.setuid(NOBODY)
            act()
        except Unavailable as fault:
            os.write(writing, fault.remedy.partition(": ")[2][:13].encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as said:
        return said.read()
