"""What several verbs of a device take: where its state is, and how they answer."""

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from fedrela.core.environment import user_folders


def default_state() -> Path:
    """$FEDRELA_DEVICE_STATE, else fedrela below $XDG_STATE_HOME, else ~/.local/state/fedrela. Raises InvalidInput."""
    folder = os.environ.get("FEDRELA_DEVICE_STATE")
    return Path(folder) if folder else user_folders.state() / "fedrela"


def again(state: Path) -> str:
    """How a next verb names this state folder; nothing where it would find it by itself."""
    return "" if state == default_state() else f" --state {shlex.quote(str(state))}"


State = Annotated[
    Path, typer.Option("--state", default_factory=default_state, help="Where this device keeps its private state.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
