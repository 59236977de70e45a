"""ExecuTorch's Python runtime as a program over a pipe: what the Kotlin client has where there is no phone's library.

$ python pte_server.py

A message is its length, 4 bytes with the highest first, and a safetensors file. The first is the server's, with its
`version` in the metadata. Each that follows is answered: `load` is the path of a program, answered with its `program`
number; `program` and tensors that are named by their positions are a call, answered with tensors that are; `program`
and no tensors: it is let go. What went wrong is answered as `fault`.
"""

import itertools
import os
import struct
import sys
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from fedrela.core import tensors
from fedrela.edge.engines.executorch_engine import import_runtime, version


def serve(calls: BinaryIO, answers: BinaryIO) -> None:
    """Load and run what is asked, until nothing is."""
    torch, runtime = import_runtime(1)
    loaded: dict[str, Any] = {}
    numbers = itertools.count()
    _send(answers, version=version())
    while head := calls.read(4):
        body = calls.read(struct.unpack(">I", head)[0])
        arrays, asked = tensors.read(body), tensors.read_metadata(body)
        try:
            if "load" in asked:
                number = str(next(numbers))
                kept = Path(asked["load"]).read_bytes()  # the runtime reads where they lie
                program = runtime._load_program_from_buffer(kept)
                loaded[number] = program.load_method("forward"), program, kept
                _send(answers, program=number)
            elif arrays:
                inputs = [torch.from_numpy(np.array(arrays[str(at)])) for at in range(len(arrays))]
                outputs = loaded[asked["program"]][0](inputs)
                _send(answers, {str(at): np.array(output.detach().numpy()) for at, output in enumerate(outputs)})
            else:
                del loaded[asked["program"]]
                _send(answers)
        except (RuntimeError, MemoryError) as fault:
            _send(answers, fault=str(fault))


def _send(answers: BinaryIO, arrays: dict[str, Any] | None = None, **metadata: str) -> None:
    body = tensors.to_bytes(arrays or {}, metadata or None)
    answers.write(struct.pack(">I", len(body)) + body)
    answers.flush()


if __name__ == "__main__":
    kept = os.fdopen(os.dup(1), "wb")
    sys.stderr = os.fdopen(os.dup(2), "w")  # Python's own alone: the runtime tells of every processor it looks at
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    serve(sys.stdin.buffer, kept)
