"""A process gives up, for good, what it needs only to start: files, sockets, other processes, new code.

Three measures, each of which holds where another fails: seccomp refuses every system call that isn't in
`fedrela.edge.sandbox.system_calls`; Landlock, where the kernel has it, refuses every path, port and signal to others;
and limits leave no room for a descriptor, a byte of a file or a core dump.

    confinement = seal(memory_bytes=1 << 30)         # in the process itself, once everything is loaded
    str(confinement)                                 # "seccomp+landlock", or "none (why)"

    confinement_here()                               # what it would be, as text: found out in a process of its own
"""

import ctypes
import os
import platform
import resource
import struct
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from fedrela.core import interpreter
from fedrela.edge.sandbox import system_calls
from fedrela.edge.sandbox.system_calls import ALWAYS, FIRST_NEW, KINDS, Bits, Kind

_SECCOMP = {"x86_64": 317, "aarch64": 277}  # the number of seccomp(2)
_CREATE_RULESET, _RESTRICT_SELF = 444, 446  # of Landlock, on every architecture
_NO_NEW_PRIVILEGES = 38  # of prctl
_SET_MODE_FILTER, _ALL_THREADS = 1, 1

# Classic BPF: opcodes, and where seccomp's data hold what.
_LOAD, _AND, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS = 1, 38
_OTHER_TABLE = 0x40000000  # x86-64 numbers its 32-bit-pointer calls from here

# All that Landlock's versions know: (version, what they can refuse of files, of ports, and beyond the process).
_LANDLOCK = (
    (6, 0xFFFF, 3, 3),
    (5, 0xFFFF, 3, 0),
    (4, 0x7FFF, 3, 0),
    (3, 0x7FFF, 0, 0),
    (2, 0x3FFF, 0, 0),
    (1, 0x1FFF, 0, 0),
)


@dataclass(frozen=True)
class Confinement:
    """What holds a process back; `reason`: why seccomp doesn't, where it doesn't."""

    measures: tuple[str, ...]
    reason: str = ""

    def __bool__(self) -> bool:
        return "seccomp" in self.measures

    def __str__(self) -> str:
        return "+".join(self.measures) if self else f"none ({self.reason})"


def seal(*, memory_bytes: int) -> Confinement:
    """Seal this process, all threads of it. Never raises: what the system refuses is left out and said."""
    name = platform.machine()
    libc = ctypes.CDLL(None, use_errno=True)
    is_linux = sys.platform.startswith("linux")
    if is_linux and libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        return Confinement((), _refusal("no_new_privs"))
    landlock = ("landlock",) if is_linux and _landlock(libc) else ()
    _limit(memory_bytes)
    if not is_linux:
        return Confinement((), f"{platform.system()} has no seccomp")
    if name not in KINDS or sys.maxsize < 2**32 or sys.byteorder != "little":
        return Confinement(landlock, f"no list of system calls for {name}")
    program = filter_program(KINDS[name], os.getpid())
    code = ctypes.create_string_buffer(program)
    filters = ctypes.create_string_buffer(struct.pack("@HP", len(program) // 8, ctypes.addressof(code)))
    if _call(libc, _SECCOMP[name], _SET_MODE_FILTER, _ALL_THREADS, ctypes.addressof(filters)):
        return Confinement(landlock, _refusal("seccomp"))
    return Confinement(("seccomp", *landlock))


def confinement_here() -> str:
    """What a process would say of itself when sealed on this system. Takes about 50 ms."""
    command = interpreter.command("fedrela.edge.sandbox.seal")
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=interpreter.environment())
    return done.stdout.strip() or "none (no process can be started)"


def filter_program(kind: Kind, process_id: int) -> bytes:
    """The seccomp filter as the kernel takes it: 8 bytes an instruction."""
    code = _operation(_LOAD, _ARCHITECTURE)
    code += _operation(_EQUAL, kind.word, 1, 0) + _operation(_RETURN, _KILL)
    code += _operation(_LOAD, _NUMBER)
    code += _operation(_AT_LEAST, _OTHER_TABLE, 0, 1) + _operation(_RETURN, _KILL)
    code += _operation(_AT_LEAST, FIRST_NEW, 0, 1) + _operation(_RETURN, _ERRNO | _ENOSYS)
    for name in ALWAYS:
        if name in kind.numbers:
            code += _operation(_EQUAL, kind.numbers[name], 0, 1) + _operation(_RETURN, _ALLOW)
    for name, bits in system_calls.conditional(process_id):
        tests = b"".join(_test(one, skip=3 * (len(bits) - at) - 2) for at, one in enumerate(bits))
        body = tests + _operation(_RETURN, _ALLOW) + _operation(_LOAD, _NUMBER)
        code += _operation(_EQUAL, kind.numbers[name], 0, len(body) // 8) + body
    return code + _operation(_RETURN, _ERRNO | _EPERM)


def _test(bits: Bits, *, skip: int) -> bytes:
    """Go on where an argument's bits are right; else leave out `skip` instructions."""
    argument, mask, value = bits
    load = _operation(_LOAD, _ARGUMENTS + 8 * argument) + _operation(_AND, mask)
    return load + _operation(_EQUAL, value, 0, skip)


def _operation(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, value)


def _landlock(libc: Any) -> bool:
    """Whether no path, no port and no other process can be reached from this thread and those that it starts."""
    version = _call(libc, _CREATE_RULESET, None, 0, 1)
    known = next((row for row in _LANDLOCK if row[0] <= version), None)
    if known is None:
        return False
    handled = ctypes.create_string_buffer(struct.pack("@QQQ", *known[1:]), 24)
    size = 24 if known[3] else 16 if known[2] else 8
    ruleset = _call(libc, _CREATE_RULESET, ctypes.addressof(handled), size, 0)
    if ruleset < 0:
        return False
    refused = _call(libc, _RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)
    return not refused


def _limit(memory_bytes: int) -> None:
    """No more memory, no new descriptor, no byte of any file, no core dump with what lies in memory."""
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: 1 + max(filter(_is_open, range(64)), default=0),
        resource.RLIMIT_DATA: memory_bytes,
    }
    for which, most in limits.items():
        hard = resource.getrlimit(which)[1]
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with suppress(ValueError, OSError):
            resource.setrlimit(which, (allowed, allowed))


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _call(libc: Any, number: int, *arguments: int | None) -> int:
    words = (ctypes.c_long(argument or 0) for argument in arguments)
    return int(libc.syscall(ctypes.c_long(number), *words))


def _refusal(what: str) -> str:
    return f"{what}: {os.strerror(ctypes.get_errno())}"


if __name__ == "__main__":
    print(seal(memory_bytes=1 << 40))
