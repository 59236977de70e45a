"""The database and the blob stores: the same promises on SQLite and PostgreSQL, in a folder and in S3."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from fedrela.coordinator.settings import Settings
from fedrela.coordinator.storage import blob_urls, engines, migrations, schema
from fedrela.coordinator.storage import blobs as blob_store
from fedrela.coordinator.storage.blobs import Blobs, FolderBlobs
from fedrela.coordinator.storage.store import Database
from fedrela.core import signing
from fedrela.core.errors import IntegrityError, InvalidInput, Unavailable


@pytest.fixture(params=["folder", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Blobs:
    """Each kind of blob store, by its URL."""
    if request.param == "folder":
        return blob_urls.connect((tmp_path / "b").as_uri())
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    base, _, query = str(request.getfixturevalue("s3_url")).partition("?")
    return blob_urls.connect(f"{base}/{tmp_path.name}?{query}")


def name_of(body: bytes) -> str:
    """The name of a public blob."""
    return blob_store.public(signing.sha256(body))


def test_a_blob_comes_back_whole_and_in_parts(blobs: Blobs) -> None:
    body = bytes(range(256)) * 10
    name = name_of(body)
    blobs.put(name, body)
    blobs.put(name, body)
    assert blobs.size(name) == 2560
    assert blob_store.get(blobs, name) == body
    assert blobs.read(name, 5, 3) == body[5:8]
    assert blobs.read(name, 2550) == body[2550:]
    assert [(entry.name, entry.size) for entry in blobs.listing()] == [(name, 2560)]
    blobs.delete(name)
    blobs.delete(name)
    assert list(blobs.listing()) == []


def test_a_missing_blob_is_a_key_error_and_a_needed_one_an_integrity_error(blobs: Blobs) -> None:
    name = blob_store.public("0" * 64)
    for call in (lambda: blobs.read(name), lambda: blobs.size(name), lambda: blob_store.get(blobs, name)):
        with pytest.raises(KeyError):
            call()
    with pytest.raises(IntegrityError, match="missing"):
        blob_store.needed(blobs, name)


def test_a_damaged_blob_is_noticed(blobs: Blobs) -> None:
    name = name_of(b"good")
    blobs.put(name, b"evil")
    with pytest.raises(IntegrityError, match="does not match"):
        blob_store.get(blobs, name)


@pytest.mark.parametrize(
    "name", ["../secret", "public/../secret", "public/", "elsewhere/x", "public/a/b", "/etc/passwd"]
)
def test_no_name_leads_out_of_the_store(blobs: Blobs, name: str) -> None:
    for call in (lambda: blobs.read(name), lambda: blobs.size(name)):
        with pytest.raises(KeyError):
            call()


def test_an_unfinished_file_is_never_seen_under_its_name(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path)
    name = name_of(b"x")
    seen: list[bool] = []
    real = Path.replace

    def watched(self: Path, target: Path) -> Path:
        seen.append((tmp_path / name).exists())
        return real(self, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", watched)
        blobs.put(name, b"x")
    assert seen == [False]
    assert not list(tmp_path.glob("*/.*"))


@pytest.mark.parametrize("url", ["ftp://x/y", "folder", "s3:///nothing", "s3://bucket?colour=red"])
def test_an_unknown_blob_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="use"):
        blob_urls.connect(url)


def test_an_s3_store_that_does_not_answer_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    away = blob_urls.connect("s3://bucket?endpoint=http://127.0.0.1:9")
    with pytest.raises(Unavailable, match="blob store"):
        away.put(name_of(b"x"), b"x")


def test_a_bucket_that_does_not_exist_is_unavailable(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with pytest.raises(Unavailable, match="bucket"):
        blob_urls.connect(s3_url.replace("s3://blobs", "s3://other")).put(name_of(b"x"), b"x")


def test_the_schema_is_the_same_after_migration_and_in_the_tables(any_database: str) -> None:
    store = Database(any_database)
    with store.read() as view:
        inspector = sa.inspect(view)
        for table in schema.metadata.sorted_tables:
            assert {column["name"] for column in inspector.get_columns(table.name)} == {c.name for c in table.columns}
        assert view.scalar(sa.select(sa.func.max(schema.migrations.c.version))) == len(migrations.STEPS)
    store.close()
    Database(any_database).close()  # a second start changes nothing


def test_a_database_of_a_newer_program_is_refused(any_database: str) -> None:
    store = Database(any_database)
    with store.write() as tx:
        tx.execute(sa.insert(schema.migrations).values(version=99, applied_at=0.0))
    store.close()
    with pytest.raises(Unavailable, match="version 99"):
        Database(any_database)


def test_a_failed_write_leaves_nothing(any_database: str) -> None:
    store = Database(any_database)
    row = {
        "id": "e-1",
        "token_hash": "h",
        "population": "p",
        "max_uses": 1,
        "uses": 0,
        "created_at": 0.0,
        "expires_at": 1.0,
    }

    def fail() -> None:
        with store.write() as tx:
            tx.execute(sa.insert(schema.tokens).values(row))
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        fail()
    with store.read() as view:
        assert view.scalar(sa.select(sa.func.count()).select_from(schema.tokens)) == 0
    store.close()


def test_writers_do_not_lose_each_others_changes(any_database: str) -> None:
    store = Database(any_database, virtual_clock=True)
    row = {"id": "e-1", "token_hash": "h", "population": "p", "max_uses": 999, "uses": 0, "created_at": 0.0}
    with store.write() as tx:
        tx.execute(sa.insert(schema.tokens).values(row | {"expires_at": 1.0}))

    def add() -> None:
        for _ in range(20):
            with store.write() as tx:
                uses = tx.execute(sa.select(schema.tokens.c.uses).with_for_update()).scalar_one()
                tx.execute(sa.update(schema.tokens).values(uses=uses + 1))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.read() as view:
        assert view.scalar(sa.select(schema.tokens.c.uses)) == 80
    store.close()


def test_a_connection_that_died_while_it_rested_is_replaced_unnoticed(
    new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Database(new_database())
    _end_sessions(store)
    monkeypatch.setattr(engines, "RESTED_SECONDS", 0.0)
    with store.read() as view:
        assert view.scalar(sa.select(sa.literal(1))) == 1
    _end_sessions(store)
    with store.write() as tx:
        assert tx.scalar(sa.select(sa.literal(1))) == 1
    store.close()


def test_a_connection_that_dies_in_use_is_unavailable_once(
    new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "RESTED_SECONDS", 1e9)
    store = Database(new_database())
    _end_sessions(store)
    with pytest.raises(Unavailable), store.write() as tx:
        tx.execute(sa.select(sa.literal(1)))
    with store.write() as tx:
        assert tx.scalar(sa.select(sa.literal(1))) == 1
    store.close()


def _end_sessions(store: Database) -> None:
    """As a restart of PostgreSQL would."""
    import psycopg

    url = store._engine.url.render_as_string(hide_password=False).replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid()"
        )


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://x", "nonsense"])
def test_an_unknown_database_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="sqlite:////absolute/path or postgresql"):
        Database(url)


@pytest.mark.parametrize("name", ["a?b", "job%41main", "a%3Fb", "#1", "ä ö"])
def test_the_database_is_in_the_data_folder_whatever_its_name(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name / "data"
    environment = {"FEDRELA_DATA": str(folder), "FEDRELA_DEV": "1"}
    Database(Settings.from_environment(environment).database_url).close()
    assert (folder / "coordinator.sqlite").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_url_says_itself_what_of_its_name_is_meant(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"write \? as %3F"):
        Database(f"sqlite:///{tmp_path}/a?timeout=5")
    Database(f"sqlite:///{tmp_path}/a%3Fb").close()
    assert (tmp_path / "a?b").is_file()


def test_a_database_that_does_not_answer_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="database"):
        Database("postgresql://nobody@127.0.0.1:9/nothing")
