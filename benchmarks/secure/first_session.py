"""What the first session of a process costs a device: a member's steps in a process that has just begun.

    python -m benchmarks.secure.first_session SESSION.pickle      # `measure` writes one and runs this

A device that goes on running pays less from its second session on: nothing is loaded any more, no table is made and no
primitive called for the first time. What the client imports at its start is not counted.
"""

import json
import pickle
import subprocess
import sys
from pathlib import Path

from benchmarks import page_session
from fedrela.edge import client  # noqa: F401  what a device has loaded before it trains


def measure(folder: Path, played: page_session.Session) -> float:
    """Milliseconds of processor time of all steps of one session, the first in its process."""
    path = folder / "session.pickle"
    path.write_bytes(pickle.dumps(played))
    command = [sys.executable, "-m", "benchmarks.secure.first_session", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(sum(json.loads(done.stdout).values()))


if __name__ == "__main__":
    times, _ = page_session.python_times(pickle.loads(Path(sys.argv[1]).read_bytes()), 1)
    print(json.dumps(times))
