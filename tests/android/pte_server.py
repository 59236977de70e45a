"""ExecuTorch's Python runtime as a program over a pipe: what the Kotlin client has where there is no phone's library.

$ python pte_server.py                    prints the runtime's version
$ python pte_server.py predict.pte        answers every call on the standard input

A message is its length, 4 bytes with the highest first, and a safetensors file whose tensors are named by their
positions; one that says what went wrong holds that as `fault` in its metadata. The first says that the program is
loaded.
"""

import os
import struct
import sys
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from fedrela.core import tensors
from fedrela.edge.engines.executorch_engine import import_runtime, version


def serve(path: Path, calls: BinaryIO, answers: BinaryIO) -> None:
    """Load a program, and run it on what comes, until nothing does."""
    torch, runtime = import_runtime(1)
    body = path.read_bytes()
    try:
        program = runtime._load_program_from_buffer(body)
        method = program.load_method("forward")
    except (RuntimeError, MemoryError) as fault:
        _send(answers, {}, str(fault))
        return
    _send(answers, {}, "")
    while head := calls.read(4):
        arrays = tensors.read(calls.read(struct.unpack(">I", head)[0]))
        inputs = [torch.from_numpy(np.array(arrays[str(at)])) for at in range(len(arrays))]
        try:
            outputs = [np.array(output.detach().numpy()) for output in method(inputs)]
        except RuntimeError as fault:
            _send(answers, {}, str(fault))
        else:
            _send(answers, {str(at): output for at, output in enumerate(outputs)}, "")


def _send(answers: BinaryIO, arrays: dict[str, Any], fault: str) -> None:
    body = tensors.to_bytes(arrays, {"fault": fault} if fault else None)
    answers.write(struct.pack(">I", len(body)) + body)
    answers.flush()


if __name__ == "__main__":
    if len(sys.argv) == 1:
        print(version())
    else:
        kept = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)  # whatever the runtime says goes elsewhere
        serve(Path(sys.argv[1]), sys.stdin.buffer, kept)
