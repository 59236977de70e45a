"""How an operator's verb reaches a coordinator: the options that all of them take, and the admin API's client.

What a verb needs is imported when it runs.
"""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from fedrela.core.errors import InvalidInput

Url = Annotated[
    str, typer.Option("--url", envvar="FEDRELA_URL", help="The coordinator, such as https://fl.example.org.")
]
AdminKey = Annotated[
    str,
    typer.Option(
        "--admin-key",
        envvar="FEDRELA_ADMIN_KEY",
        show_default=False,
        help="The operator's key. Default: the one that `fedrela serve --dev` keeps in the data folder.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
LOCAL_URL = "http://127.0.0.1:8000"


def admin(url: str, admin_key: str) -> Any:
    """An AdminClient. Raises InvalidInput where there is no key."""
    from fedrela.coordinator.admin_client import AdminClient

    key_file = Path(os.environ.get("FEDRELA_DATA") or "fedrela-data") / "admin.key"
    if not admin_key and key_file.is_file():
        admin_key = key_file.read_text().strip()
    if not admin_key:
        raise InvalidInput("there is no admin key", remedy="pass --admin-key or set FEDRELA_ADMIN_KEY")
    return AdminClient(url, admin_key)
