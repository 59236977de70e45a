"""A systemd unit that keeps a device running, with limits that leave the machine to its owner.

May import the standard library.

    >>> "Nice=10" in unit("/usr/bin/fedrela", Path("/home/pi/photos"), Path("/home/pi/.local/share/fedrela"), ())
    True
"""

import shlex
from collections.abc import Sequence
from pathlib import Path


def unit(program: str, data: str | Path, state: Path, options: Sequence[str], *, memory_max: str = "50%") -> str:
    """The text of a user unit: low priority, half of the memory, read access only outside the state folder.

    A user's service manager can restrict file access only together with PrivateUsers.
    """
    command = shlex.join([program, "device", "run", "--data", str(data), "--state", str(state), *options])
    return f"""\
[Unit]
Description=FedReLa device: federated training on data that stays here
Wants=network-online.target
After=network-online.target

[Service]
ExecStart={command.replace("%", "%%")}
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
ReadWritePaths={str(state).replace("%", "%%")}
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
UMask=0077

[Install]
WantedBy=default.target
"""
