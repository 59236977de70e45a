"""The verdict on a body: accepted, refused, or foreign where something else happened.

A client program reads a line of JSON for every case from its standard input, `{"kind": "Task", "body": base64}`, and
answers each with a line: "accepted", "refused", or "foreign: " and what happened.

    >>> python_verdict("Task", b'{"name":"t","rounds":2}'), python_verdict("Task", b"[]")
    ('accepted', 'refused')
"""

import contextlib
import json
import shlex
import subprocess
from base64 import b64encode
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO

from fedrela.conformance.differential.bodies import PROGRAM, TENSORS
from fedrela.conformance.differential.mutants import Case
from fedrela.conformance.message_cases import PARSERS
from fedrela.core import tensors
from fedrela.core.errors import FedRelaError
from fedrela.core.onnx_files import rules

ACCEPTED, REFUSED, FOREIGN = "accepted", "refused", "foreign"
_ENDED = b"foreign: the program ended before its answer"


def _read_program(body: bytes) -> None:
    rules.check(body, "p")


_PARSERS: dict[str, Callable[[bytes], object]] = {**PARSERS, TENSORS: tensors.read, PROGRAM: _read_program}


def python_verdict(kind: str, body: bytes) -> str:
    """What Python's own parser says."""
    try:
        _PARSERS[kind](body)
    except FedRelaError:
        return REFUSED
    except Exception as fault:  # whatever it is: that it came is the finding
        return f"{FOREIGN}: {type(fault).__name__}: {str(fault)[:80]}"
    return ACCEPTED


class ClientProgram:
    """Another client's parsers, as a program. Ask a batch, then collect its verdicts; `close` in the end."""

    def __init__(self, name: str, command: str) -> None:
        self.name = name
        self._process = subprocess.Popen(shlex.split(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._writer = ThreadPoolExecutor(1)  # a program may answer before it has read all

    def ask(self, cases: Sequence[Case]) -> None:
        """Begin to send a batch."""
        lines = b"".join(_line(case) for case in cases)
        self._writer.submit(self._write, lines)

    def verdicts(self, count: int) -> list[str]:
        """As many answers as cases were asked; foreign ones where the program ends before."""
        answers = [_pipe(self._process.stdout).readline() or _ENDED for _ in range(count)]
        return [answer.decode("utf-8", "replace").strip() for answer in answers]

    def close(self) -> None:
        """Let the program end."""
        self._writer.shutdown()
        with contextlib.suppress(BrokenPipeError):
            _pipe(self._process.stdin).close()
        self._process.wait()
        _pipe(self._process.stdout).close()

    def _write(self, lines: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):  # the missing answers tell of it
            _pipe(self._process.stdin).write(lines)
            _pipe(self._process.stdin).flush()


def _line(case: Case) -> bytes:
    return json.dumps({"kind": case.kind, "body": b64encode(case.body).decode()}).encode() + b"\n"


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe
