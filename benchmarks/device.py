"""What a device costs beside a PyTorch script that trains the same model on the same data.

    python -m benchmarks.device

Installed size of the device's requirements, seconds from the start of the process to the end of the first training
step, peak resident memory, steps per second, and what a step costs more in the sandbox than in process. The device is
`fedrela device run --once` against a coordinator on loopback: its start includes the check-in, verified downloads and
the self-test on the first round, and the check-in and a checkpoint's download on later ones; its memory is that of both
its processes, the pages that they share counted twice. The script only imports torch, reads weights and data, and
trains. Medians of several runs; the bars are ratios of figures of one run. Prints a table and writes
benchmarks/results/device.json.
May import every package.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
import numpy as np
import psutil

from benchmarks.processes.device_victim import new_link
from benchmarks.processes.sandboxed_step import step_share
from benchmarks.serving.fixture import Server
from fedrela.core import bundle
from fedrela.core.task import LocalTraining, Relabel, Rounds, Task
from fedrela.edge.client import enroll
from fedrela.edge.network.api import CoordinatorApi
from fedrela.edge.storage.store import FolderStore

REPOSITORY = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results" / "device.json"
BATCH, EPOCHS = 32, 10
STEPS = {"CNN on 8x8": (8, 1), "CNN on 28x28": (28, 1), "CNN on 32x32 in color": (32, 3)}  # pixels, channels

# The same model, data, batches and optimizer as the device's task, as anyone would write them.
SCRIPT = f"""
import json, sys, time
import numpy as np
import torch
from safetensors.numpy import load_file
from fedrela.export.models import small_cnn

torch.set_num_threads(1)
model = small_cnn()
weights = dict((name, torch.from_numpy(array)) for name, array in load_file(sys.argv[1]).items())
model.load_state_dict(weights, strict=False)
data = np.load(sys.argv[2])
x, y = torch.from_numpy(data["x"]).float() / 255, torch.from_numpy(data["y"])
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.5)
model.train()
first = None
for epoch in range({EPOCHS}):
    for rows in torch.randperm(len(y)).split({BATCH}):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
        optimizer.step()
        if first is None:
            first, steps = time.time(), 0
        steps += 1
print(json.dumps(dict(first=first, last=time.time(), steps=steps)))
"""


@dataclass(frozen=True)
class Cost:
    """Medians over the runs of one program."""

    program: str
    start_seconds: float
    peak_rss_mb: float
    steps_per_second: float


@dataclass(frozen=True)
class Run:
    """One process: when its first step ended after its start, its peak memory, its speed between steps."""

    start_seconds: float
    peak_rss_mb: float
    steps_per_second: float


def measure(command: list[str], folder: Path, *, script: bool) -> Run:
    """Run a program once."""
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    started = time.time()
    with (folder / "said").open("w+") as output:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.DEVNULL)
        peaks: dict[int, float] = {}
        while process.poll() is None:
            for process_id in (process.pid, *children(process.pid)):
                peaks[process_id] = max(peaks.get(process_id, 0.0), peak_rss_mb(process_id))
            time.sleep(0.01)
        output.seek(0)
        printed = output.read()
    if process.returncode:
        raise RuntimeError(f"{command} failed")
    lines = [json.loads(line) for line in printed.splitlines()]
    if script:
        first, last, steps = lines[0]["first"], lines[0]["last"], lines[0]["steps"]
    else:
        at = [line["at"] for line in lines if line.get("event") == "step"]
        first, last, steps = at[0], at[-1], len(at)
    return Run(first - started, sum(peaks.values()), (steps - 1) / (last - first))


def children(process_id: int) -> list[int]:
    """The processes that a process has started."""
    with suppress(psutil.Error):
        return [child.pid for child in psutil.Process(process_id).children()]
    return []


def peak_rss_mb(process_id: int) -> float:
    """The most memory that a process has had resident; 0 when it is gone."""
    try:
        peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process_id}/status").read_text())
    except OSError:
        return 0.0
    return int(peak.group(1)) * 1024 / 1e6 if peak else 0.0


def cost(name: str, runs: list[Run]) -> Cost:
    """The medians."""
    middle = [statistics.median(values) for values in zip(*(asdict(run).values() for run in runs), strict=True)]
    return Cost(name, *(round(value, 3) for value in middle))


def installed_mb(folder: Path, requirements: list[str]) -> float:
    """Size of a fresh installation of `requirements`, wheels only."""
    target = folder / "site"
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-compile",
        "--target",
        str(target),
        *requirements,
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return round(sum(path.lstat().st_size for path in target.rglob("*") if path.is_file()) / 1e6, 1)


def edge_requirements() -> list[str]:
    """What `pip install 'fedrela[edge]'` brings."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["edge"]]


def compare(folder: Path, server: Server, runs: int) -> list[Cost]:
    """Export, publish, and run both programs in turn."""
    from sklearn.datasets import load_digits

    from fedrela.export.classifier import export_classifier
    from fedrela.export.models import small_cnn

    digits = load_digits()
    np.savez(folder / "data.npz", x=(digits.images * 15.9).astype(np.uint8)[:, None], y=digits.target)
    export_classifier(small_cnn(), input="uint8:1x8x8", classes=10, out=folder / "bundle")
    admin, store = server.operator(), FolderStore(folder / "state")
    enroll(CoordinatorApi(httpx.Client()), store, new_link(admin, folder / "bundle"))
    task = Task(
        "cost",
        rounds=1,
        local=LocalTraining(epochs=EPOCHS, batch_size=BATCH),
        relabel=Relabel(enabled=False),
        round=Rounds(goal=1, smallest_cohort=1),
    )
    verbs = ["device", "run", "--once", "--json", "--data", "data.npz", "--state", "state"]
    device = [sys.executable, "-m", "fedrela", *verbs]
    script = [sys.executable, "-c", SCRIPT, "bundle/weights.safetensors", "data.npz"]
    first, later, eager = [], [], []
    for _ in range(runs):
        for key in store.keys("self-tests/"):
            store.delete(key)
        for costs in (first, later):
            admin.publish(folder / "bundle", task)
            costs.append(measure(device, folder, script=False))
        eager.append(measure(script, folder, script=True))
    return [cost("device, first turn", first), cost("device, later turns", later), cost("PyTorch script", eager)]


def exported(folder: Path, name: str) -> Path:
    """The bundle of one of the nets whose steps are timed."""
    from fedrela.export.classifier import export_classifier
    from fedrela.export.models import small_cnn

    (size, channels), out = STEPS[name], folder / f"bundle of {name}"
    model = small_cnn(channels=channels, size=size)
    export_classifier(model, input=f"uint8:{channels}x{size}x{size}", classes=10, out=out, runtimes=("onnx",))
    return out


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--no-size", action="store_true", help="leave out the installed size, which downloads wheels")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, server = Path(name), Server(Path(name) / "coordinator")
        server.start()
        try:
            costs = compare(folder, server, arguments.runs)
            shares = {name: step_share(bundle.read(exported(folder, name))) for name in STEPS}
        finally:
            server.stop()
        size = None if arguments.no_size else installed_mb(folder, edge_requirements())
    device, script = costs[1], costs[2]
    bars = {
        "start, share of the script's (at most 0.35)": round(device.start_seconds / script.start_seconds, 3),
        "first turn's start, share of the script's": round(costs[0].start_seconds / script.start_seconds, 3),
        "peak memory, share of the script's (at most 0.45)": round(device.peak_rss_mb / script.peak_rss_mb, 3),
        "peak memory in MB (at most 200)": device.peak_rss_mb,
        "installed size in MB": size,
        **{f"step: sandboxed / in process, {name} (at most 1.05)": share for name, share in shares.items()},
    }
    print(f"{'':22}{'start s':>10}{'peak MB':>10}{'steps/s':>10}")
    for one in costs:
        print(f"{one.program:22}{one.start_seconds:10.2f}{one.peak_rss_mb:10.0f}{one.steps_per_second:10.0f}")
    for text, value in bars.items():
        print(f"{text:52}{value}")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"costs": [asdict(one) for one in costs], "bars": bars}, indent=1) + "\n")


if __name__ == "__main__":
    main()
