"""The verdict on a body: accepted, refused, or foreign where something else happened.

A client program reads a line of JSON for every case from its standard input, `{"kind": "Task", "body": base64}`, and
answers each with a line: "accepted", "refused", or "foreign: " and what happened. To Python it is foreign, too, to take
longer than a second or more than 64 MB for a body.

    >>> python_verdict("Task", b'{"name":"t","rounds":2}'), python_verdict("Task", b"[]")
    ('accepted', 'refused')
"""

import contextlib
import gc
import json
import shlex
import subprocess
from base64 import b64encode
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import IO

from fedrela.conformance.differential import update_mutants
from fedrela.conformance.differential.bodies import CLASSES, PROGRAM, TENSORS, TO_COORDINATOR
from fedrela.conformance.differential.cost import MOST_BYTES, MOST_SECONDS, Watch
from fedrela.conformance.differential.mutants import Case
from fedrela.conformance.message_cases import PARSERS
from fedrela.core import strict, tensors
from fedrela.core.errors import FedRelaError
from fedrela.core.onnx_files import rules
from fedrela.edge.sources import picture_files

ACCEPTED, REFUSED, FOREIGN = "accepted", "refused", "foreign"
_ENDED = b"foreign: the program ended before its answer"

_PARSERS: dict[str, Callable[[bytes], object]] = {
    **PARSERS,
    **{kind: partial(strict.from_json, CLASSES[kind]) for kind in TO_COORDINATOR},
    TENSORS: tensors.read,
    PROGRAM: lambda body: rules.check(body, "predict"),
    "Picture": lambda body: picture_files.decode(body, "the picture"),
    "Update": update_mutants.read_update,
    "Bundle": update_mutants.read_bundle,
}


def python_verdict(kind: str, body: bytes) -> str:
    """What Python's own parser says."""
    try:
        _PARSERS[kind](body)
    except FedRelaError:
        return REFUSED
    except Exception as fault:  # whatever it is: that it came is the finding
        return f"{FOREIGN}: {type(fault).__name__}: {str(fault)[:80]}"
    return ACCEPTED


def python_verdicts(cases: Sequence[Case]) -> list[str]:
    """The same of many, with what they cost: each by time, and each by memory where all together take much."""
    watch = Watch()
    watch.begin()
    verdicts = [_timed_verdict(item, watch) for item in cases]
    if watch.peak_bytes() > MOST_BYTES:
        verdicts = [_weighed_verdict(item, watch) for item in cases]
    return verdicts


def _timed_verdict(item: Case, watch: Watch) -> str:
    verdicts: list[str] = []
    seconds = watch.seconds(lambda: verdicts.append(python_verdict(item.kind, item.body)))
    return verdicts[0] if seconds <= MOST_SECONDS else f"{FOREIGN}: it took {seconds:.1f} s"


def _weighed_verdict(item: Case, watch: Watch) -> str:
    gc.collect()
    watch.begin()
    verdict = _timed_verdict(item, watch)
    peak = watch.peak_bytes()
    return verdict if peak <= MOST_BYTES else f"{FOREIGN}: it took {peak / 1e6:.0f} MB"


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
