"""Runs a command under a systemd unit's rules where no systemd runs: mounts, working folder, environment, system calls.

    unshare --mount python -m tests.packaging.unit_rules UNIT                       # ExecStart=, with more words
    unshare --mount python -m tests.packaging.unit_rules UNIT --instead COMMAND...

The rules are read from the unit; a setting that isn't known here is an error, so that none is left out by oversight.
"""

import ctypes
import os
import shlex
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.packaging import call_filter

STAGE = Path("/mnt")  # where what is bound waits while its place is hidden
HIDDEN = ("/home", "/root", "/run/user")
DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "shm")
KERNEL = ("/proc", "/sys", "/dev")
# What has no meaning for one run of one command, or is the kernel's to hold beside the rules that are tried here.
NOT_TRIED = {
    "ExecStart", "Restart", "RestartSec", "Nice", "CPUWeight", "IOWeight", "MemoryMax", "OOMPolicy", "TasksMax",
    "KillMode", "KillSignal", "TimeoutStopSec", "PrivateUsers", "PrivateMounts", "ProtectClock", "ProtectControlGroups",
    "ProtectHostname", "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables", "RestrictRealtime",
    "RestrictSUIDSGID", "LockPersonality", "KeyringMode", "SystemCallArchitectures", "ReadWritePaths", "ProtectProc",
    "DevicePolicy", "RemoveIPC", "User", "AmbientCapabilities", "SystemCallErrorNumber",
}  # fmt: skip
TRIED = {
    "BindPaths", "BindReadOnlyPaths", "CapabilityBoundingSet", "Environment", "MemoryDenyWriteExecute",
    "NoNewPrivileges", "PrivateDevices", "PrivateTmp", "ProtectHome", "ProtectSystem", "RestrictAddressFamilies",
    "RestrictNamespaces", "SystemCallFilter", "TemporaryFileSystem", "UMask", "WorkingDirectory",
}  # fmt: skip

Settings = dict[str, list[str]]


def settings(text: str) -> Settings:
    """The [Service] section: the values of each name, in order."""
    found: Settings = {}
    for line in text.partition("[Service]\n")[2].partition("\n\n[")[0].splitlines():
        name, _, value = line.partition("=")
        found.setdefault(name, []).append(value)
    unknown = set(found) - TRIED - NOT_TRIED
    assert not unknown, f"unit_rules does not know {unknown}"
    return found


def words(value: str) -> list[str]:
    """The words of a value, as systemd takes them apart."""
    return [word.replace("%%", "%").replace("$$", "$") for word in shlex.split(value)]


def paths(values: Iterable[str]) -> list[Path]:
    """The paths of mounts, without their options."""
    return [Path(words(value)[0].removesuffix(":ro")) for value in values]


def mount(*arguments: str) -> None:
    """mount(8)."""
    subprocess.run(["mount", *arguments], check=True)


def bind(source: Path, target: Path) -> None:
    """Mount a file or a folder at another place, which is made if need be."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        target.mkdir(exist_ok=True)
    else:
        target.touch()
    mount("--rbind", str(source), str(target))


def see(unit: Settings) -> None:
    """Let nothing be seen but what the unit shows, and nothing be written but what it gives."""
    writable, readable = paths(unit["BindPaths"]), paths(unit.get("BindReadOnlyPaths", []))
    shown = [*writable, *readable, *(Path("/dev") / name for name in DEVICES)]
    mount("--make-rprivate", "/")
    mount("-t", "tmpfs", "stage", str(STAGE))
    staged = {path: STAGE / str(number) for number, path in enumerate(shown) if path.exists()}
    for path, place in staged.items():
        bind(path, place)
    assert (unit["ProtectHome"], unit["ProtectSystem"], unit["PrivateTmp"]) == (["tmpfs"], ["strict"], ["yes"])
    hidden = [*map(Path, (*HIDDEN, "/tmp", "/var/tmp", "/dev")), *paths(unit.get("TemporaryFileSystem", []))]
    for place in hidden:
        place.mkdir(parents=True, exist_ok=True)
        mount("-t", "tmpfs", "-o", "mode=0755", "empty", str(place))
    for path in sorted(staged):
        bind(staged[path], path)
    subprocess.run(["umount", "--recursive", "--lazy", str(STAGE)], check=True)
    free = {"/tmp", "/var/tmp", *map(str, writable)}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        target, options = line.split()[4:6]
        target = target.encode().decode("unicode_escape")
        is_kernels = any(Path(target).is_relative_to(place) for place in KERNEL)
        if target not in free and not is_kernels and os.path.ismount(target):
            mount("-o", ",".join(["remount", "bind", "ro", *options.split(",")[1:]]), target)


def main(path: str, *more: str) -> None:
    """Take the rules on, then run the command in this process's place."""
    unit = settings(Path(path).read_text())
    command = list(more[1:]) if more[:1] == ("--instead",) else [*words(unit["ExecStart"][0]), *more]
    rules = call_filter.rules(unit)  # reads what systemd says while it can still be seen
    see(unit)
    os.chdir(unit["WorkingDirectory"][0])
    os.umask(int(unit["UMask"][0], 8))
    variables = dict(word.split("=", 1) for value in unit["Environment"] for word in words(value))
    environment = {"PATH": "/usr/bin:/bin", "HOME": os.environ["HOME"], **variables}
    libc = ctypes.CDLL(None)
    for capability in range(64):
        libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
    assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
    call_filter.load(rules)
    os.execvpe(command[0], command, environment)


if __name__ == "__main__":
    main(*sys.argv[1:])
