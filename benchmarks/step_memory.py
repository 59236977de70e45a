"""Peak memory of a whole training process, imports included: PyTorch against the device's ONNX engine.

    python -m benchmarks.step_memory onnx PROGRAMS.pickle 32     one process; prints its peak in MB

The parent (`peak_mb`) starts one such process per figure. The ONNX process never imports torch, so what it needs is
read from plain files. May import what the process measures.
"""

import json
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

STEPS = 12


def peak_mb(contender: str, folder: Path, batch: int) -> float:
    """Peak resident memory of a process that trains a few steps with `contender` ("eager" or "onnx")."""
    command = [sys.executable, "-m", "benchmarks.step_memory", contender, str(folder), str(batch)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.strip().splitlines()[-1])


def _write(name: str, lowered: Any, folder: Path) -> None:
    """What the two processes need and no more: each imports only its own runtime."""
    import torch

    from benchmarks.step_models import NETS

    net = NETS[name]
    (item,) = lowered.manifest.train_step.role("x")
    (folder / "net.json").write_text(json.dumps([item.shape[1:], net.classes]))
    torch.save(lowered.model(net), folder / "model.pt")
    plain = {"manifest": lowered.manifest, "weights": lowered.weights, "programs": lowered.programs["onnx"]}
    (folder / "plain.pickle").write_bytes(pickle.dumps(plain))


def _train_onnx(folder: Path, batch: int) -> None:
    from core.tensors import Params
    from edge.engine import Batch
    from edge.onnx_engine import OnnxEngine

    plain = pickle.loads((folder / "plain.pickle").read_bytes())
    weights: Params = plain["weights"]
    engine = OnnxEngine(plain["manifest"], plain["programs"], threads=1)
    state = engine.start(weights)
    step = plain["manifest"].train_step
    generator = np.random.default_rng(0)
    sizes = {"B": batch}

    def made(item: Any) -> np.ndarray:
        return generator.random(tuple(sizes.get(d, d) for d in item.shape), dtype=np.float32)

    settings = {item.name: 0.01 for item in step.role("hyperparameter")}
    for _ in range(STEPS):
        x = {item.name: made(item) for item in step.role("x")}
        randoms = {item.name: made(item) for item in step.role("random")}
        y = generator.integers(0, plain["manifest"].classes, batch)
        engine.train_step(state, Batch(x, y, np.ones(batch, np.float32), settings, randoms))


def _train_eager(folder: Path, batch: int) -> None:
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(1)
    shape, classes = json.loads((folder / "net.json").read_text())
    model = torch.load(folder / "model.pt", weights_only=False).train()  # written by the parent just before
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    for _ in range(STEPS):
        optimizer.zero_grad()
        F.cross_entropy(model(torch.rand(batch, *shape)), torch.randint(0, classes, (batch,))).backward()
        optimizer.step()


def _own_peak_mb() -> float:
    """This process's largest resident set. (getrusage would count the parent's from before exec, too.)"""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def compare(name: str, lowered: Any, batch: int) -> dict[str, float]:
    """Peak MB of both processes, and their ratio."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _write(name, lowered, folder)
        eager, onnx = (peak_mb(contender, folder, batch) for contender in ("eager", "onnx"))
    return {"eager_mb": eager, "onnx_mb": onnx, "ratio": onnx / eager}


if __name__ == "__main__":
    chosen, where, size = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    (_train_onnx if chosen == "onnx" else _train_eager)(where, size)
    print(_own_peak_mb())
