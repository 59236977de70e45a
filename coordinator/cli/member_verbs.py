"""The operator's verbs on who takes part: token and device."""

from pathlib import Path
from typing import Annotated

import typer

from fedrela.coordinator.cli import secret_files
from fedrela.coordinator.cli.connection import LOCAL_URL, AdminKey, Json, Url, admin
from fedrela.coordinator.cli.fleet_verbs import link_part
from fedrela.coordinator.cli.numbers import between
from fedrela.coordinator.cli.tables import show, table
from fedrela.core.errors import InvalidInput
from fedrela.core.protocol.links import is_for_phones, is_local

token_app = typer.Typer(no_args_is_help=True, help="Create, list and revoke enrollment tokens.")
device_app = typer.Typer(no_args_is_help=True, help="List and revoke devices.")
LONGEST_HOURS = 10 * 366 * 24  # ten years: `access.tokens` takes no more


@token_app.command("create")
def token_create(
    uses: Annotated[int, typer.Option(min=1, help="How many devices may enroll with it.")] = 1,
    hours: Annotated[float, typer.Option(min=0.01, help="How long it is valid.")] = 24.0,
    population: Annotated[str, typer.Option(help="The group of devices that they join.")] = "default",
    publisher: Annotated[
        list[str] | None,
        typer.Option(help="Fingerprint of a key whose programs these devices run; may be repeated."),
    ] = None,
    fleet_key: Annotated[
        Path | None,
        typer.Option(help="The file of `fedrela fleet key`: devices of this link share groups with its devices alone."),
    ] = None,
    with_code: Annotated[bool, typer.Option("--qr", help="Also draw the link as a QR code, for phones.")] = False,
    code_file: Annotated[
        Path | None, typer.Option("--qr-file", help="Also write the code as a picture, to print or send: code.svg.")
    ] = None,
    url: Url = LOCAL_URL,
    admin_key: AdminKey = "",
    as_json: Json = False,
) -> None:
    """Make an enrollment link. It is shown once; send it to the devices' owners over a safe channel."""
    between(hours, "--hours", 0.01, LONGEST_HOURS)
    fleet = [link_part(fleet_key, population)] if fleet_key else []
    token_request = {"population": population, "max_uses": uses, "valid_seconds": hours * 3600}
    token_request |= {"publishers": publisher or []}
    with admin(url, admin_key) as api:
        called = api.public_url()
        if (with_code or code_file) and not is_for_phones(called):
            why = "that is this machine for itself" if is_local(called) else "browsers train under https alone"
            raise InvalidInput(
                f"no phone can use {called}: {why}",
                remedy="serve it under https (`--ssl-certfile` or a reverse proxy), and pass --url or set "
                "FEDRELA_PUBLIC_URL where the coordinator starts",
            )
        token = api.request("POST", "/tokens", json=token_request)
        token["fragment"] = ".".join((token["fragment"], *fleet))
        token["link"] = f"{called}/join#{token['fragment']}"
    code = ""
    if with_code or code_file:
        from fedrela.coordinator.pages import qr

        code = qr.as_text(token["link"]) if with_code and not as_json else ""
    on_phone = "on a phone: open it in the browser\n" if is_for_phones(called) else ""
    on_device = f"{on_phone}on a computer: fedrela device enroll '{token['link']}'"
    show(token, as_json, f"{code}{token['link']}\n\n{on_device}")
    if code_file:
        secret_files.replace(code_file, qr.as_svg(token["link"]))


@token_app.command("list")
def token_list(url: Url = LOCAL_URL, admin_key: AdminKey = "", as_json: Json = False) -> None:
    """Every enrollment token, without its secret."""
    with admin(url, admin_key) as api:
        tokens = api.get("/tokens")
    table(tokens, ("token_id", "population", "uses", "max_uses", "expires_at", "revoked_at"), as_json)


@token_app.command("revoke")
def token_revoke(token_id: str, url: Url = LOCAL_URL, admin_key: AdminKey = "", as_json: Json = False) -> None:
    """No more devices by this token; those enrolled stay."""
    with admin(url, admin_key) as api:
        api.request("DELETE", f"/tokens/{token_id}")
    show({"token_id": token_id, "revoked": True}, as_json, f"token {token_id} is revoked")


@device_app.command("list")
def device_list(url: Url = LOCAL_URL, admin_key: AdminKey = "", as_json: Json = False) -> None:
    """Every enrolled device."""
    with admin(url, admin_key) as api:
        devices = api.devices()
    table(devices, ("device_id", "population", "enrolled_at", "last_assignment_at", "revoked_at"), as_json)


@device_app.command("revoke")
def device_revoke(device_id: str, url: Url = LOCAL_URL, admin_key: AdminKey = "", as_json: Json = False) -> None:
    """The device's token is worth nothing from now on; its open assignment is given back."""
    with admin(url, admin_key) as api:
        api.request("DELETE", f"/devices/{device_id}")
    show({"device_id": device_id, "revoked": True}, as_json, f"device {device_id} is revoked")
