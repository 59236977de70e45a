"""The system calls that a unit allows, as libseccomp takes them; the names in its groups are systemd's own."""

import ctypes
import errno
import socket
import subprocess
from ctypes.util import find_library
from dataclasses import dataclass

REFUSE, ALLOW = 0x00050000, 0x7FFF0000
EQUAL, MASKED_EQUAL = 4, 7  # scmp_compare
WRITE, EXECUTE = 2, 4
NEW_NAMESPACES = 0x7E020080  # CLONE_NEW*


@dataclass(frozen=True)
class Rule:
    """A call, and what an argument must be: (which, its bits, their value); more rules for a call add to each other."""

    call: str
    argument: tuple[int, int, int] | None = None


class _Comparison(ctypes.Structure):
    _fields_ = [
        ("argument", ctypes.c_uint),
        ("operation", ctypes.c_int),
        ("mask", ctypes.c_uint64),
        ("value", ctypes.c_uint64),
    ]


def rules(unit: dict[str, list[str]]) -> list[Rule]:
    """What is allowed."""
    allowed: set[str] = set()
    for value in unit["SystemCallFilter"]:
        names = {name for word in value.removeprefix("~").split() for name in expanded(word)}
        allowed = allowed - names if value.startswith("~") else allowed | names
    assert unit["MemoryDenyWriteExecute"] == unit["RestrictNamespaces"] == ["yes"]
    partly = {"mmap", "mprotect", "pkey_mprotect", "shmat", "socket", "clone", "clone3", "unshare", "setns"}
    families = [getattr(socket, name) for name in unit["RestrictAddressFamilies"][0].split()]
    return [
        *(Rule(name) for name in sorted(allowed - partly)),
        Rule("mmap", (2, EXECUTE, 0)),
        Rule("mmap", (2, WRITE, 0)),
        Rule("mprotect", (2, EXECUTE, 0)),
        Rule("clone", (0, NEW_NAMESPACES, 0)),
        *(Rule("socket", (0, 0xFFFFFFFF, int(family))) for family in families),
    ]


def expanded(word: str) -> set[str]:
    """The calls of a group, of the groups in it, or the call itself."""
    if not word.startswith("@"):
        return {word}
    listed = subprocess.run(["systemd-analyze", "syscall-filter", word], capture_output=True, text=True, check=True)
    inside = [line.strip() for line in listed.stdout.splitlines()[1:]]
    return {name for line in inside if line and not line.startswith("#") for name in expanded(line)}


def load(allowed: list[Rule]) -> None:
    """Refuse this process, for good, every other call."""
    library = ctypes.CDLL(find_library("seccomp") or "libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(REFUSE | errno.EPERM)))
    for rule in allowed:
        number = library.seccomp_syscall_resolve_name(rule.call.encode())
        if number < 0:  # of another architecture
            continue
        comparisons = (_Comparison * 1)()
        if rule.argument:
            which, mask, value = rule.argument
            comparisons[0] = _Comparison(which, MASKED_EQUAL, mask, value)
        count = ctypes.c_uint(1 if rule.argument else 0)
        done = library.seccomp_rule_add_array(context, ctypes.c_uint32(ALLOW), number, count, comparisons)
        assert done == 0, (rule, done)
    number = library.seccomp_syscall_resolve_name(b"clone3")
    library.seccomp_rule_add_array(context, ctypes.c_uint32(REFUSE | errno.ENOSYS), number, ctypes.c_uint(0), None)
    assert library.seccomp_load(context) == 0
