"""One contender in a process of its own, so that its peak memory is its own: it takes turns as its parent says.

    python -m benchmarks.step.child onnx FOLDER 32 1       contender, its files, batch size, threads

Reads a command a line from standard input and answers each with a line of JSON: `step N` and `predict N` give
[processor seconds, seconds] of each of N runs, `peak` the largest resident memory so far in MB, `weights PATH` writes
the trained weights. The parent's half is `benchmarks.step.alternation`. May import what the process measures.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np


def serve(opened):
    """Answer commands until standard input ends. Also used by benchmarks/step/ort_training.py, in its environment."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a runtime prints is no answer
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        command, *arguments = line.split(maxsplit=1)
        if command == "peak":
            answer = peak_mb()
        elif command == "weights":
            np.savez(arguments[0].strip(), **opened.weights())
            answer = True
        else:
            action = opened.step if command == "step" else opened.predict
            answer = action and [timed(action) for _ in range(int(arguments[0]))]
        print(json.dumps(answer), file=answers, flush=True)


def timed(action):
    """Processor seconds of this process, and seconds by the clock."""
    processor, clock = time.process_time(), time.perf_counter()
    action()
    return time.process_time() - processor, time.perf_counter() - clock


def peak_mb():
    """This process's largest resident set. (getrusage would count the parent's from before exec, too.)"""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def main():
    """One contender."""
    from benchmarks.step.contenders import opened

    contender, folder, batch, threads = sys.argv[1:]
    serve(opened(contender, Path(folder), int(batch), int(threads)))


if __name__ == "__main__":
    main()
