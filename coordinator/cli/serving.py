"""The verb `serve`: the coordinator under uvicorn, until Ctrl-C. What it needs is imported when it runs.

$ fedrela serve --dev
"""

import os
import socket
import ssl
from pathlib import Path
from typing import Annotated

import typer

from fedrela.core import interpreter
from fedrela.core.errors import InvalidInput


def serve(
    dev: Annotated[
        bool, typer.Option("--dev", help="For a trial on this machine: make the secrets and keep them.")
    ] = False,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on; 0: any that is free.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    data: Annotated[Path | None, typer.Option(help="Folder for database and blobs (FEDRELA_DATA).")] = None,
    ssl_certfile: Annotated[Path | None, typer.Option(help="TLS certificate chain, PEM.")] = None,
    ssl_keyfile: Annotated[Path | None, typer.Option(help="TLS private key, PEM.")] = None,
) -> None:
    """Run the coordinator until Ctrl-C.

    Outside --dev it needs FEDRELA_ADMIN_KEY and FEDRELA_SIGNING_KEY; make each with `openssl rand -hex 32`.
    """
    import uvicorn

    from fedrela.coordinator.pages import join_page
    from fedrela.coordinator.settings import Settings
    from fedrela.core import signing

    if data is not None:
        os.environ["FEDRELA_DATA"] = str(data)
    if dev:
        os.environ["FEDRELA_DEV"] = "1"
    _check_certificate(ssl_certfile, ssl_keyfile)
    settings = Settings.from_environment()
    _check_free(host, port)
    if workers > 1:
        _share_metrics(settings.data_folder)
    if dev:
        typer.echo(f"development mode: secrets and data are in {settings.data_folder}", err=True)
    if not join_page.is_built():
        typer.echo(f"no phone page in this installation: {join_page.HOW_TO_BUILD}", err=True)
    fingerprint = signing.fingerprint(settings.public_key)
    typer.echo(
        f"coordinator public key: {settings.public_key}\nits fingerprint, in every link: {fingerprint}", err=True
    )
    with interpreter.safe_children():
        uvicorn.run(
            "fedrela.coordinator.app:app",
            host=host,
            port=port,
            workers=workers,
            ssl_certfile=str(ssl_certfile) if ssl_certfile else None,
            ssl_keyfile=str(ssl_keyfile) if ssl_keyfile else None,
            access_log=False,
            log_level="info",
        )


def _check_free(host: str, port: int) -> None:
    """Raise InvalidInput where nobody can listen there: said before the secrets are, and with what to do."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        raise InvalidInput(
            f"{host}:{port} can't be listened on ({error.strerror or error})",
            remedy="end what listens there, or name another address: --port, --host",
        ) from error


def _check_certificate(chain: Path | None, key: Path | None) -> None:
    """Raise InvalidInput for files from which no TLS server can be made: said before anything is made or opened."""
    if key and not chain:
        raise InvalidInput("--ssl-keyfile is there without --ssl-certfile", remedy="name both, or neither")
    for option, file in (("--ssl-certfile", chain), ("--ssl-keyfile", key)):
        try:
            if file:
                file.read_bytes()
        except OSError as error:
            raise InvalidInput(
                f"{option} {file} can't be read ({error.strerror})", remedy="name a PEM file that this account may read"
            ) from error
    if chain and b"ENCRYPTED" not in (key or chain).read_bytes():  # else uvicorn asks for the password
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(chain, key)
        except ssl.SSLError as error:
            raise InvalidInput(
                f"{chain} and {key or chain} are no certificate chain with its private key ({error.reason})",
                remedy="name two PEM files that belong together: --ssl-certfile, --ssl-keyfile",
            ) from error


def _share_metrics(data: Path) -> None:
    """A fresh folder in which the workers keep their counters."""
    folder = data / "metrics"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.db"):
        old.unlink()
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
