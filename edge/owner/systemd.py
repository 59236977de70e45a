"""A systemd unit that keeps a device running: it leaves the machine to its owner, and sees nothing of the home but what
it needs.

>>> runs = Service(("/usr/bin/fedrela", "device", "run"), Path("/home/pi/.local/state/fedrela"), (), Path("/home/pi"))
>>> "Nice=10" in unit(runs)
True
"""

import pwd
import shlex
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fedrela.core import interpreter
from fedrela.core.environment import user_folders
from fedrela.core.environment.network_settings import CERTIFICATES
from fedrela.core.errors import InvalidInput
from fedrela.edge.owner import carried
from fedrela.edge.owner.carried import Source

NAME = "fedrela-device.service"
HIDDEN = (Path("/home"), Path("/root"), Path("/run/user"))  # what ProtectHome= covers
SYSTEM_UNITS = Path("/etc/systemd/system")

# What a service of a user's own manager can have; a user's manager can restrict files only together with PrivateUsers.
_RULES = """\
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
PrivateUsers=yes
PrivateTmp=yes
PrivateDevices=yes
PrivateMounts=yes
ProtectSystem=strict
ProtectHome=tmpfs
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
KeyringMode=private
SystemCallArchitectures=native
SystemCallFilter=@system-service seccomp landlock_create_ruleset landlock_restrict_self
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
UMask=0077"""
# What only the system's manager offers.
_SYSTEM_RULES = """\
ProtectProc=invisible
DevicePolicy=closed
RemoveIPC=yes"""

USER_START = """\
start it:            systemctl --user daemon-reload && systemctl --user enable --now fedrela-device
run without a login: loginctl enable-linger
follow it:           journalctl --user -fu fedrela-device"""
SYSTEM_START = """\
start it:            sudo systemctl daemon-reload && sudo systemctl enable --now fedrela-device
follow it:           journalctl -fu fedrela-device"""


@dataclass(frozen=True)
class Service:
    """What a unit runs, and what of the file system it needs beyond what everybody sees.

    `user`: whom a system unit runs as; empty for a unit of the user's own manager. `variables`: what the shell had.
    """

    command: tuple[str, ...]
    state: Path
    readable: tuple[Path, ...]
    home: Path
    user: str = ""
    memory_max: str = "50%"
    variables: Mapping[str, str] = field(default_factory=dict)
    working_folder: Path = carried.EMPTY_FOLDER


def program() -> list[str]:
    """The words that start `fedrela` again from a unit, whose search path is not that of a shell."""
    started = Path(sys.argv[0])
    if started.name == "fedrela" and started.is_file():
        return [str(started.resolve())]
    return interpreter.command("fedrela")


def unit_file(*, system: bool = False) -> Path:
    """Where a service manager looks for the unit: the user's own, or the system's."""
    if system:
        return SYSTEM_UNITS / NAME
    return user_folders.configuration() / "systemd" / "user" / NAME


def take_away(*, system: bool = False) -> str:
    """The two commands that stop a service and remove its unit."""
    manager = "sudo systemctl" if system else "systemctl --user"
    remove = "sudo rm" if system else "rm"
    unit = shlex.quote(str(unit_file(system=system)))
    return f"  {manager} disable --now fedrela-device\n  {remove} {unit} && {manager} daemon-reload"


def service(
    words: Iterable[str], state: Path, source: Source, named: Iterable[Path] = (), *, system: bool = False
) -> Service:
    """The service that runs `fedrela words...` with this environment's Python and variables on the data of `source`.

    `named`: what else the words name.

    A system unit runs as the owner of the state folder. Raises InvalidInput where that is root.
    """
    owner = pwd.getpwuid(state.stat().st_uid)
    if system and owner.pw_uid == 0:
        raise InvalidInput(
            f"{state} belongs to root, as whom no device should run",
            remedy="enroll as the user who owns the data, or give that user the folder with chown -R",
        )
    home = Path(owner.pw_dir) if system else user_folders.home()
    command = (*program(), *words)
    variables = carried.environment(interpreter.environment())
    certificates = (path for name in CERTIFICATES for path in carried.paths(variables.get(name, "")))
    beside = (path for path in source.beside if not home.is_relative_to(path))  # no home is shown for a module in it
    readable = (*environment_folders(home), *source.readable, *beside, *(path.resolve() for path in named))
    return Service(
        command,
        state,
        (*readable, *(path.resolve() for path in certificates)),
        home,
        owner.pw_name if system else "",
        variables=variables,
        working_folder=source.working_folder,
    )


def environment_folders(home: Path) -> tuple[Path, ...]:
    """Where this Python's programs and packages are: a virtual environment, its base, an editable checkout.

    Folders that hold the home are none.
    """
    places: tuple[str | Path, ...] = (
        sys.prefix,
        sys.base_prefix,
        Path(sys.argv[0]).resolve().parent,
        interpreter.HOME,
        *sys.path,
    )
    folders = {Path(place).resolve() for place in places if place and Path(place).exists()}
    return tuple(sorted(folder for folder in folders if not home.is_relative_to(folder)))


def unit(service: Service, *, once: bool = False) -> str:
    """The unit's text: low priority, half of the memory, and of the home nothing but the state folder and, to read,
    what the service needs. `once`: it ends with its command, for `systemctl start` to wait for.
    """
    hidden = (*HIDDEN, service.home)
    needed = outermost(path for path in service.readable if any(path.is_relative_to(place) for place in hidden))
    lines = [
        f"ExecStart={' '.join(quoted(word.replace('$', '$$')) for word in service.command)}",
        *(f"Environment={quoted(f'{name}={value}')}" for name, value in environment(service).items()),
        f"WorkingDirectory={str(service.working_folder).replace('%', '%%')}",  # /tmp is the service's own, and empty
        *([f"User={service.user}"] if service.user else []),
        "Type=oneshot" if once else _RESTART,
        _LIMITS.format(memory_max=service.memory_max),
        _RULES,
        *([_SYSTEM_RULES] if service.user else []),
    ]
    if not any(service.home.is_relative_to(place) for place in HIDDEN):
        lines.append(f"TemporaryFileSystem={quoted(f'{service.home}:ro')}")
    lines += [f"BindReadOnlyPaths={quoted(str(path))}" for path in needed if path != service.state]
    lines += [f"BindPaths={quoted(str(service.state))}", f"ReadWritePaths={quoted(str(service.state))}"]
    wanted = "multi-user.target" if service.user else "default.target"
    return f"{_UNIT}\n[Service]\n" + "\n".join(lines) + f"\n\n[Install]\nWantedBy={wanted}\n"


_UNIT = """\
[Unit]
Description=FedReLa device: federated training on data that stays here
Wants=network-online.target
After=network-online.target
"""
_RESTART = """\
Restart=on-failure
RestartSec=60"""
_LIMITS = """\
Nice=10
CPUWeight=20
IOWeight=20
MemoryMax={memory_max}
OOMPolicy=continue
TasksMax=64
KillMode=mixed
KillSignal=SIGTERM
TimeoutStopSec=30"""


def environment(service: Service) -> dict[str, str]:
    """The variables of our own processes, and what the shell had."""
    return {**interpreter.QUIET, **service.variables}


def outermost(paths: Iterable[Path]) -> list[Path]:
    """The paths that lie in none of the others.

    >>> outermost([Path("/a/b"), Path("/a"), Path("/c")])
    [PosixPath('/a'), PosixPath('/c')]
    """
    chosen: list[Path] = []
    for path in sorted(set(paths)):
        if not any(path.is_relative_to(other) for other in chosen):
            chosen.append(path)
    return chosen


def quoted(word: str) -> str:
    r"""One word of a unit file: in quotes, with systemd's escapes and specifiers taken literally.

    >>> print(quoted('/home/pi/my "100 %" photos'))
    "/home/pi/my \"100 %%\" photos"
    """
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'
