"""What an operator does to a coordinator as a whole: copy it, begin a new epoch after a restore, give it a new key.

The last two change the database of one that is stopped; devices learn of them by signed statements at their next
check-in.
"""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from fedrela.coordinator.cli import secret_files
from fedrela.coordinator.cli.connection import Json
from fedrela.coordinator.cli.tables import show

coordinator_app = typer.Typer(no_args_is_help=True, help="Back a coordinator up; begin a new epoch after a restore.")
key_app = typer.Typer(no_args_is_help=True, help="A stopped coordinator: give it a new signing key.")

Dev = Annotated[bool, typer.Option("--dev", help="As for `fedrela serve --dev`.")]
Data = Annotated[Path | None, typer.Option(help="Folder for database and blobs (FEDRELA_DATA).")]


@coordinator_app.callback()
def _coordinator() -> None:
    """Back a coordinator up; begin a new epoch after a restore."""


@key_app.callback()
def _key() -> None:
    """The key that signs assignments."""


@coordinator_app.command("backup")
def backup(
    folder: Annotated[Path, typer.Argument(help="A new folder for the copy.")],
    dev: Dev = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Copy database and blobs into a folder, while the coordinator runs. Keep the signing key elsewhere.

    To restore: stop the coordinator, put the folder where its data were, `fedrela coordinator new-epoch`, start it.
    """
    from fedrela.coordinator.storage import backup as backups

    size_bytes = backups.copy_to(_settings(dev, data), folder)
    show({"path": str(folder), "bytes": size_bytes}, as_json, f"{folder} is a copy of {size_bytes} bytes")


@coordinator_app.command("new-epoch")
def new_epoch(dev: Dev = False, data: Data = None, as_json: Json = False) -> None:
    """Say that this database was restored from a backup: devices accept older rounds than they have seen, once.

    Stop the coordinator, restore, run this, start it.
    """
    from fedrela.coordinator.access import standing

    settings = _settings(dev, data)
    with _stopped(settings) as store, store.write() as tx:
        number = standing.begin_epoch(tx)
    show({"epoch": number}, as_json, f"epoch {number} begins when the coordinator is started")


@key_app.command("rotate")
def rotate(
    output: Annotated[
        Path | None, typer.Option(help="Where the new private key is written. Default: signing.key.new in the folder.")
    ] = None,
    dev: Dev = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make a new signing key and have the present one name it as its successor; links and devices go along.

    Stop the coordinator, run this, start it with FEDRELA_SIGNING_KEY set to what the file holds (--dev finds it).
    """
    from fedrela.coordinator.access import standing
    from fedrela.core import signing
    from fedrela.core.protocol import key_chain

    settings, private_key = _settings(dev, data), signing.generate_key()
    rotation = key_chain.rotate(settings.signing_key, signing.public_key(private_key))
    path = output or settings.data_folder / "signing.key.new"
    another = "name another file with --output"
    secret_files.check_new(path, another)  # before the database is touched
    with _stopped(settings) as store:
        secret_files.write_new(path, private_key, another)  # before anything says that it is the next
        with store.write() as tx:
            standing.add_rotation(tx, rotation, store.now(tx))
    if dev and output is None and not os.environ.get("FEDRELA_SIGNING_KEY"):
        path = path.replace(settings.data_folder / "signing.key")
    shown = {"public_key": rotation.public_key, "former_key": rotation.former_key, "path": str(path)}
    text = f"new public key {rotation.public_key}\nthe private key is in {path}; start the coordinator with it"
    show(shown, as_json, text)


def _settings(dev: bool, data: Path | None) -> Any:
    from fedrela.coordinator.settings import Settings

    if data is not None:
        os.environ["FEDRELA_DATA"] = str(data)
    if dev:
        os.environ["FEDRELA_DEV"] = "1"
    return Settings.from_environment(make_secrets=False)


@contextmanager
def _stopped(settings: Any) -> Iterator[Any]:
    """The database of a coordinator that is stopped, open for one block. It has to be there: see `Database`."""
    from fedrela.coordinator.storage import presence
    from fedrela.coordinator.storage.store import Database

    store = Database(settings.database_url, virtual_clock=settings.virtual_clock, existing=True)
    with closing(store), presence.stopped(settings.database_url, store):
        yield store
