"""The fleet's key: made here, kept off the coordinator, used by `fedrela token create --fleet-key`."""

from pathlib import Path
from typing import Annotated

import typer

from fedrela.coordinator.cli import secret_files
from fedrela.coordinator.cli.connection import Json
from fedrela.coordinator.cli.tables import show
from fedrela.core import signing

fleet_app = typer.Typer(no_args_is_help=True, help="The key by which a coordinator can't invent devices.")


@fleet_app.callback()
def _fleet() -> None:
    """The key by which a coordinator can't invent devices."""


@fleet_app.command("key")
def key(
    file: Annotated[Path, typer.Argument(help="The file to write. It must never be on the coordinator.")],
    as_json: Json = False,
) -> None:
    """Make a fleet's key. Links are made with it from then on: `fedrela token create --fleet-key FILE`.

    Devices that join by such a link go into no group with a device that this key doesn't vouch for.
    """
    private_key = signing.generate_key()
    secret_files.write_new(file, private_key, "name another file")
    public_key = signing.public_key(private_key)
    fingerprint = signing.fingerprint(public_key)
    shown = {"public_key": public_key, "fingerprint": fingerprint, "path": str(file)}
    text = (
        f"the fleet's fingerprint {fingerprint}\n"
        f"the private key is in {file}: keep it off the coordinator, and a copy of it safe\n"
        f"links with it: fedrela token create --fleet-key {file}"
    )
    show(shown, as_json, text)


def link_part(file: Path, population: str) -> str:
    """What a new link says of the fleet: a new key for its token, endorsed. The coordinator never sees it."""
    from fedrela.core.secure import fleet

    token_seed = signing.generate_key()
    endorsed = fleet.endorse(secret_files.read(file), signing.public_key(token_seed), population)
    return fleet.link_part(endorsed, token_seed, population)
