"""Twelve thousand steps of a Kotlin device leave its resident set level: what the runtime holds is given back."""

import subprocess
from dataclasses import replace
from pathlib import Path

from fedrela.conformance.files import ROUNDS_BUNDLE
from fedrela.core import bundle
from fedrela.core.task import LocalTraining
from tests.android.device import KOTLIN, words
from tests.android.test_walk import DATA, SECRET, TASK
from tests.edge.live import coordinator

pytestmark = KOTLIN

WARM, STEPS = 2_000, 12_000
GROWTH_BYTES = 20_000_000
LONG = replace(
    TASK,
    rounds=1,
    local=LocalTraining(epochs=2_000, batch_size=8, max_steps=STEPS, hyperparameters={"lr": 1e-5}),
    round=replace(TASK.round, compute_lease_seconds=3_600.0),
)


def resident_bytes(pid: int) -> int:
    """What a process has in memory."""
    status = Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(status.split("VmRSS:")[1].split()[0])


def test_the_resident_set_is_level_over_ten_thousand_steps(tmp_path: Path) -> None:
    with coordinator(tmp_path / "coordinator") as live:
        live.publish(bundle.read(ROUNDS_BUNDLE), LONG)
        command = words("once", link=live.link(), state=tmp_path / "state", data=DATA, secret=SECRET.hex())
        # A small heap: with a large one the collector has no reason to free direct buffers.
        command[1] = "-Xmx64m"
        seen = {}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                number = line.split()[1] if line.startswith("step ") else ""
                if number in (str(WARM), str(STEPS - 1)):
                    seen[number] = resident_bytes(process.pid)
        assert line.strip() == "uploaded 1"
    assert seen[str(STEPS - 1)] - seen[str(WARM)] < GROWTH_BYTES, seen
