"""What a program could try once it has taken a process over, tried in a process that has sealed itself.

    python -m tests.edge.sandbox.attempts MEASURE FILE VICTIM | ...

MEASURE: "seal", or "landlock" alone, and then only files are tried. FILE exists and may be read and written by whoever
runs this; VICTIM is another process of theirs. Prints one line of JSON: for each attempt what came of it.
"""

import ctypes
import json
import mmap
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from fedrela.edge.sandbox import seal

LIBC = ctypes.CDLL(None, use_errno=True)
OF_FILES = ("open to read", "open to write", "create", "delete", "rename", "link", "make a folder")
CALLS = {  # numbers on x86-64 and on 64-bit Arm
    "bpf": (321, 280),
    "execveat": (322, 281),
    "io_uring_setup": (425, 425),
    "keyctl": (250, 219),
    "memfd_create": (319, 279),
    "mount": (165, 40),
    "openat2": (437, 437),
    "pidfd_open": (434, 434),
    "process_vm_readv": (310, 270),
    "ptrace": (101, 117),
    "setns": (308, 268),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
}


def raw(name: str, *arguments: int) -> None:
    """One system call by its number."""
    number = CALLS[name][os.uname().machine == "aarch64"]
    if LIBC.syscall(number, *map(ctypes.c_long, arguments)) < 0:
        raise OSError(ctypes.get_errno(), name)


def attempts(path: str, victim: int, before: socket.socket) -> dict[str, Callable[[], Any]]:
    """Each must fail."""
    other = path + ".other"
    return {
        "open to read": lambda: os.open(path, os.O_RDONLY),
        "open to write": lambda: os.open(path, os.O_WRONLY),
        "create": lambda: os.open(other, os.O_CREAT | os.O_WRONLY),
        "list a folder": lambda: os.listdir("/"),
        "stat": lambda: os.stat(path),
        "delete": lambda: os.unlink(path),
        "rename": lambda: os.rename(path, other),
        "link": lambda: os.link(path, other),
        "chmod": lambda: os.chmod(path, 0o777),
        "truncate": lambda: os.truncate(path, 0),
        "make a folder": lambda: os.mkdir(other),
        "change folder": lambda: os.chdir("/"),
        "tcp socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM),
        "udp socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
        "unix socket": lambda: socket.socket(socket.AF_UNIX),
        "netlink socket": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
        "socket pair": socket.socketpair,
        "connect a socket that was open": lambda: before.connect(("127.0.0.1", 9)),
        "bind a socket that was open": lambda: before.bind(("127.0.0.1", 0)),
        "send by a socket that was open": lambda: before.sendto(b"x", ("127.0.0.1", 9)),
        "receive descriptors": lambda: before.recvmsg(1, 64),
        "exec": lambda: os.execv("/bin/true", ["true"]),
        "fork": fork,
        "spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
        "kill another process": lambda: os.kill(victim, signal.SIGKILL),
        "signal another process": lambda: os.kill(victim, 0),
        "new code": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC),
        "pipe": os.pipe,
        "raise a limit": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
        "user": lambda: os.setuid(0),
        "terminal": lambda: os.tcgetpgrp(0),
        **{name: partial(raw, name, 0, 0, 0, 0, 0) for name in CALLS},
        "ptrace of another process": lambda: raw("ptrace", 16, victim, 0, 0),
        "memory of another process": lambda: raw("process_vm_readv", victim, 0, 0, 0, 0, 0),
    }


def fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def permitted() -> str:
    """What a runtime needs: threads, memory and its descriptors."""
    done: list[int] = []
    threads = [threading.Thread(target=lambda: done.append(sum(bytearray(1 << 20)))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return f"{len(done)} threads"


def main(measure: str, path: str, victim: int) -> None:
    """Give up, try, tell."""
    before = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    results: dict[str, str] = {}
    if measure == "landlock":
        assert not LIBC.prctl(38, 1, 0, 0, 0)
        results["measure"] = str(seal._landlock(LIBC))
    else:
        results["measure"] = str(seal.seal(memory_bytes=1 << 40))
    if measure == "other table":
        LIBC.syscall(ctypes.c_long(0x40000000 | 39))
    for name, attempt in attempts(path, victim, before).items():
        if measure == "landlock" and name not in OF_FILES:
            continue
        try:
            attempt()
            results[name] = "done"
        except OSError as error:
            results[name] = f"refused: {error.errno}"
    with suppress(RuntimeError):
        results["permitted"] = permitted()
    print(json.dumps(results), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
