"""A systemd unit that keeps a device running, with limits that leave the machine to its owner.

>>> "Nice=10" in unit(["/usr/bin/fedrela", "device", "run"], Path("/home/pi/.local/state/fedrela"))
True
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from fedrela.core import interpreter


def program() -> list[str]:
    """The words that start `fedrela` again from a unit, whose search path is not that of a shell."""
    started = Path(sys.argv[0])
    if started.name == "fedrela" and started.is_file():
        return [str(started.resolve())]
    return interpreter.command("fedrela")


def unit_file() -> Path:
    """Where a user's service manager looks for the unit."""
    base = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(base).expanduser() / "systemd" / "user" / "fedrela-device.service"


def unit(command: Sequence[str], state: Path, *, memory_max: str = "50%") -> str:
    """The text of a user unit: low priority, half of the memory, write access to the state folder alone.

    A user's service manager can restrict file access only together with PrivateUsers.
    """
    quiet = "\n".join(f"Environment={name}={value}" for name, value in interpreter.QUIET.items())
    start = " ".join(quoted(word.replace("$", "$$")) for word in command)
    return f"""\
[Unit]
Description=FedReLa device: federated training on data that stays here
Wants=network-online.target
After=network-online.target

[Service]
ExecStart={start}
{quiet}
Restart=on-failure
RestartSec=60
Nice=10
CPUWeight=20
IOWeight=20
MemoryMax={memory_max}
TasksMax=64
KillSignal=SIGTERM
TimeoutStopSec=30
NoNewPrivileges=yes
PrivateUsers=yes
PrivateTmp=yes
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths={quoted(str(state))}
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
UMask=0077

[Install]
WantedBy=default.target
"""


def quoted(word: str) -> str:
    r"""One word of a unit file: in quotes, with systemd's escapes and specifiers taken literally.

    >>> print(quoted('/home/pi/my "100 %" photos'))
    "/home/pi/my \"100 %%\" photos"
    """
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'
