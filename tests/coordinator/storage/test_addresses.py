"""Addresses of databases and blob stores that can't be used: one clear error each, which repeats no password."""

from pathlib import Path

import pytest

from fedrela.coordinator.storage import backup, blob_urls
from fedrela.coordinator.storage.store import Database
from fedrela.core.errors import InvalidInput
from tests.coordinator.conftest import settings_for

PASSWORD = "hunter2-hunter2"
POSTGRESQL = [
    f"postgresql://fedrela:{PASSWORD}@127.0.0.1:port/x",
    f"postgresql://fedrela:{PASSWORD}@[::1/x",
    f"postgresql://fedrela:{PASSWORD}@127.0.0.1/x?unheard_of=1",
    f"postgresql://fedrela:{PASSWORD}@127.0.0.1:{'9' * 5000}/x",
]


@pytest.mark.parametrize("url", POSTGRESQL, ids=lambda url: url.split("@")[1][:20])
def test_a_database_url_that_can_t_be_read_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(InvalidInput, match="postgresql://user") as caught:
        Database(url)
    assert PASSWORD not in str(caught.value)
    assert caught.value.__cause__ is None  # nor has a traceback that the server's log holds


@pytest.mark.parametrize("content", [b"something else " * 100, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_file_that_is_no_database_is_named_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "coordinator.sqlite"
    file.write_bytes(content)
    with pytest.raises(InvalidInput, match=f"{file} is no database that SQLite reads.*--data"):
        Database(f"sqlite:///{file}")
    assert file.read_bytes() == content


@pytest.mark.parametrize(
    "url",
    ["file://[x/y", "s3://b[ucket/x", "s3://]/x", "s3://bucket/x?endpoint=http://[", "s3://", "file://", "x"],
)
def test_a_blob_store_url_that_can_t_be_read_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="blob store URL"):
        blob_urls.connect(url)
    if "[" in url.partition("?")[0] or "]" in url:
        file = tmp_path / "coordinator.sqlite"
        file.write_bytes(b"x")
        with pytest.raises(InvalidInput, match="blob store URL"):
            backup.copy_to(settings_for(tmp_path, blobs_url=url), tmp_path / "copy")
        assert not (tmp_path / "copy").exists()
