"""What a sealed process may still ask of the kernel: to compute, to wait, and to read and write what it already holds.

A list of what is allowed, since nobody can list all that is not. Whatever a runtime or Python asks for besides is
refused with EPERM and not answered with the process's end: libraries look for files and settings that they can do
without, each version for others, and a call that is refused has done nothing.

>>> KINDS["x86_64"].numbers["read"], KINDS["aarch64"].numbers["read"]
(0, 63)
"""

from collections.abc import Mapping
from dataclasses import dataclass

# What a call's argument must look like: (which argument, from 0; which bits of it; what they must be).
Bits = tuple[int, int, int]

EXECUTABLE = 4  # PROT_EXEC
A_THREAD = 0x10100  # CLONE_VM | CLONE_THREAD
GET_NAME, SET_NAME, NAME_MEMORY = 16, 15, 0x53564D41  # of prctl
LOW_BITS = 0xFFFFFFFF
FIRST_NEW = 435  # clone3, openat2 and all that came later: ENOSYS, so that libraries fall back on what is listed here


@dataclass(frozen=True)
class Kind:
    """One processor architecture: its word in seccomp's data, and its calls' numbers by name."""

    word: int  # AUDIT_ARCH_*
    numbers: Mapping[str, int]


# name: (x86-64, 64-bit Arm); the frequent ones first.
_NUMBERS: Mapping[str, tuple[int | None, int | None]] = {
    "futex": (202, 98),
    "read": (0, 63),
    "write": (1, 64),
    "munmap": (11, 215),
    "madvise": (28, 233),
    "mremap": (25, 216),
    "brk": (12, 214),
    "clock_gettime": (228, 113),
    "sched_yield": (24, 124),
    "poll": (7, None),
    "ppoll": (271, 73),
    "close": (3, 57),
    "fstat": (5, 80),
    "lseek": (8, 62),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "nanosleep": (35, 101),
    "gettimeofday": (96, 169),
    "time": (201, None),
    "getpid": (39, 172),
    "gettid": (186, 178),
    "getppid": (110, 173),
    "getuid": (102, 174),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getegid": (108, 177),
    "getcpu": (309, 168),
    "sched_getaffinity": (204, 123),
    "sched_setaffinity": (203, 122),
    "sched_getparam": (143, 121),
    "sched_getscheduler": (145, 120),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "set_robust_list": (273, 99),
    "get_robust_list": (274, 100),
    "set_tid_address": (218, 96),
    "rseq": (334, 293),
    "membarrier": (324, 283),
    "restart_syscall": (219, 128),
    "getrandom": (318, 278),
    "getrusage": (98, 165),
    "times": (100, 153),
    "sysinfo": (99, 179),
    "uname": (63, 160),
    "getrlimit": (97, 163),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "arch_prctl": (158, None),
}
# Allowed where the arguments say so; see `conditional`.
_CONDITIONAL: Mapping[str, tuple[int | None, int | None]] = {
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "clone": (56, 220),
    "prctl": (157, 167),
    "prlimit64": (302, 261),
    "tgkill": (234, 131),
}
_WORDS = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def _numbers(column: int) -> dict[str, int]:
    both = {**_NUMBERS, **_CONDITIONAL}
    return {name: number for name, row in both.items() if (number := row[column]) is not None}


KINDS = {name: Kind(word, _numbers(column)) for column, (name, word) in enumerate(_WORDS.items())}
ALWAYS = tuple(_NUMBERS)


def conditional(process_id: int) -> tuple[tuple[str, tuple[Bits, ...]], ...]:
    """Calls that are allowed for some arguments: all the bits given must be right. A call may stand here repeatedly."""
    return (
        ("mmap", ((2, EXECUTABLE, 0),)),  # no new code, in memory or from anywhere
        ("mprotect", ((2, EXECUTABLE, 0),)),
        ("clone", ((0, A_THREAD, A_THREAD),)),  # a thread and no process
        ("prctl", ((0, LOW_BITS, SET_NAME),)),
        ("prctl", ((0, LOW_BITS, GET_NAME),)),
        ("prctl", ((0, LOW_BITS, NAME_MEMORY),)),
        ("prlimit64", ((0, LOW_BITS, 0), (2, LOW_BITS, 0))),  # its own limits, to read
        ("tgkill", ((0, LOW_BITS, process_id),)),  # abort() signals itself
    )
