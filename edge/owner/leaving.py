"""What `fedrela device forget` says when it is done: of the state folder, of the coordinator, and of a service."""

from pathlib import Path

from fedrela.edge.owner import systemd
from fedrela.edge.storage.state_folder import Cleared


def told(url: str, unreached: str) -> str:
    """Of the coordinator of a device that was enrolled there; `unreached`: why it could not be told."""
    if not url:
        return ""
    if unreached:
        return f"the coordinator was not told ({unreached}): it lists this device until its operator revokes it"
    return f"the coordinator at {url} has forgotten this device"


def deletion(state: Path, cleared: Cleared) -> str:
    """Of the state folder."""
    files = f"{cleared.files} files, this device's keys and its token among them"
    if cleared.left:
        return f"of {state} only what this device made is deleted ({files}); still there: {', '.join(cleared.left)}"
    return f"{state} is deleted ({files})" + ("; the folder itself stays" if state.exists() else "")


def services(state: Path) -> str:
    """Of each service that runs this device and is still there: how it is taken away; empty where there is none."""
    return "\n".join(
        f"the service {systemd.unit_file(system=system)} is still there, and would start and fail every minute: "
        f"take it away\n{systemd.take_away(system=system)}"
        for system in (False, True)
        if _runs(systemd.unit_file(system=system), state)
    )


def _runs(unit: Path, state: Path) -> bool:
    """Whether a unit is there and starts the device of this state folder; root's, which only root reads, may."""
    try:
        return systemd.quoted(str(state.resolve())) in unit.read_text(encoding="utf-8")
    except PermissionError:
        return True
    except OSError:
        return False
