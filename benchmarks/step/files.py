"""What each contender's process needs to train one net, as files: batches, programs, checkpoints.

    python -m benchmarks.step.files "small CNN" onnx FOLDER "8 32"        one contender's files, or the reason why not

Lowering takes most of the benchmark's time, so files are kept for as long as the exporter's sources stay the same, and
made by several processes at once. A contender that can't take a net leaves gives_up.txt. May import export, torch and
executorch, where they are needed.
"""

import copy
import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

ROOT = Path(__file__).parents[2]
GIVES_UP = "gives_up.txt"
ROUNDING = "rounding.json"  # of eager PyTorch, by batch size
_COSTLY = ("ResNet-18", "MobileNetV2")  # lowered first, so that none of them is the last one running


def prepare(cache: Path, nets: list[str], contenders: list[str], batches: list[int], ort_python: Path | None) -> Path:
    """The folder with a folder per net, in it one per contender, made by as many processes as there are cores."""
    folder = cache / _digest()
    jobs = [(net, contender) for net in nets for contender in contenders]
    jobs.sort(key=lambda job: (job[0] not in _COSTLY, job[1] != "executorch"))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda job: _prepared(folder, *job, batches, ort_python), jobs))
    return folder


def reason(folder: Path) -> str | None:
    """Why a contender can't take a net; None if it can."""
    note = folder / GIVES_UP
    return note.read_text() if note.exists() else None


def _digest() -> str:
    """Changes with every source that decides what the programs are."""
    own = [Path(__file__), Path(__file__).with_name("models.py")]
    sources = [*ROOT.glob("export/**/*.py"), *ROOT.glob("core/**/*.py"), *own]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(sources))).hexdigest()[:12]


def _prepared(folder: Path, net: str, contender: str, batches: list[int], ort_python: Path | None) -> None:
    """Make one contender's files unless they are there; what is half made is made again."""
    made = folder / net / contender
    batch_files = [made / f"batch-{size}.npz" for size in batches]
    if all(path.exists() for path in batch_files):
        return
    shutil.rmtree(made, ignore_errors=True)
    half = made.with_name(made.name + ".partial")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    print(f"  preparing {contender} for {net}", flush=True)
    sizes = " ".join(map(str, batches))
    command = [sys.executable, "-m", "benchmarks.step.files", net, contender, str(half), sizes]
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
    command += [str(ort_python)] if ort_python else []
    done = subprocess.run(command, capture_output=True, text=True, env=one_thread, cwd=ROOT, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        (half / GIVES_UP).write_text(f"the process that makes its files ended with {done.returncode}: {last[:200]}")
    half.rename(made)


def _write_batches(folder: Path, name: str, batches: list[int]) -> None:
    """The same random data for every contender; `randoms` are dropout's uniforms."""
    from benchmarks.step import models
    from fedrela.export import program

    definition = program.build(models.build(name), models.recipe_of(name))["train_step"]
    for size in batches:
        generator = np.random.default_rng(0)
        arrays = {}
        for item in definition.inputs:
            shape = tuple(size if d == "B" else int(d) for d in item.shape)
            if item.role == "random":
                arrays[item.name] = generator.random(shape, dtype=np.float32)
            elif item.role == "x":
                arrays[item.name] = generator.standard_normal(shape, dtype=np.float32)
            elif item.role == "y":
                arrays[item.name] = generator.integers(0, models.NETS[name].classes, size)
            elif item.role == "weight":
                arrays[item.name] = np.ones(size, np.float32)
        np.savez(folder / f"batch-{size}.npz", **arrays)


def _write_eager(folder: Path, name: str, batches: list[int]) -> None:
    import torch

    from benchmarks.step import models

    model = models.build(name)
    torch.save(model, folder / "model.pt")
    np.savez(folder / "start.npz", **{key: tensor.detach().numpy() for key, tensor in model.named_parameters()})
    (folder / ROUNDING).write_text(
        json.dumps({size: _rounding(model, folder / f"batch-{size}.npz") for size in batches})
    )


def _rounding(model: "torch.nn.Module", batch: Path) -> float:
    """How far eager float32's own gradient is from float64's, relative: no float32 runtime can be asked for less."""
    import torch
    from torch.nn.functional import cross_entropy

    arrays = np.load(batch)
    gradients = []
    for dtype in (torch.float32, torch.float64):
        twin = copy.deepcopy(model).to(dtype).train()
        torch.manual_seed(0)
        cross_entropy(twin(torch.from_numpy(arrays["x"]).to(dtype)), torch.from_numpy(arrays["y"])).backward()
        gradients.append(torch.cat([weight.grad.double().flatten() for weight in twin.parameters()]))
    return float((gradients[0] - gradients[1]).norm() / gradients[1].norm())


def _write_ours(runtime: str, folder: Path, name: str, batches: list[int]) -> None:
    from benchmarks.step import models

    net = models.NETS[name]
    roles = ("train_step", "predict") if runtime == "onnx" else ("train_step",)
    low = models.lower(name, models.build(name), net.input, net.classes, (runtime,), roles)
    plain = {"manifest": low.manifest, "weights": low.weights, "programs": low.programs[runtime]}
    (folder / "plain.pickle").write_bytes(pickle.dumps(plain))


def _write_executorch_recipe(folder: Path, name: str, batches: list[int]) -> None:
    """A step as ExecuTorch's own documentation exports it: one file per batch size."""
    import torch
    import torch.nn.functional as F
    from executorch.exir import EdgeCompileConfig, to_edge
    from torch import nn
    from torch.export.experimental import _export_forward_backward

    from benchmarks.step import models

    class WithLoss(nn.Module):
        def __init__(self, model: nn.Module) -> None:
            super().__init__()
            self.model = model

        def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            logits = self.model(x)
            return F.cross_entropy(logits, y), logits.detach().argmax(1)

    for size in batches:
        arrays = np.load(folder / f"batch-{size}.npz")
        x, y = torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["y"])
        try:
            exported = torch.export.export(WithLoss(models.build(name)), (x, y), strict=True)
            joint = _export_forward_backward(exported, joint_loss_index=0)
            edge = to_edge(joint, compile_config=EdgeCompileConfig(_check_ir_validity=False))
            (folder / f"forward-{size}.pte").write_bytes(edge.to_executorch().buffer)
        except Exception as error:  # whatever its many layers raise means: it doesn't work for this net
            first = (str(error).splitlines() or [type(error).__name__])[0]
            (folder / GIVES_UP).write_text(f"its export fails: {first[:160]}")
            return


def _write_ort_training(folder: Path, name: str, batches: list[int], python: str) -> None:
    from benchmarks.step import models
    from fedrela.core.errors import FedRelaError
    from fedrela.export.official import onnxruntime_layout

    try:
        written = onnxruntime_layout.write(models.build(name), models.recipe_of(name), folder / "layout", Path(python))
        shutil.copytree(folder / "layout", folder, dirs_exist_ok=True)
        (folder / "fed.json").write_text(json.dumps([item.name for item in written.inputs]))
    except FedRelaError as error:
        (folder / GIVES_UP).write_text(error.problem)


def main() -> None:
    """One net, one contender."""
    name, contender, folder, sizes, *python = sys.argv[1:]
    where, batches = Path(folder), [int(size) for size in sizes.split()]
    _write_batches(where, name, batches)
    if contender in ("onnx", "executorch"):
        _write_ours(contender, where, name, batches)
    elif contender == "executorch-recipe":
        _write_executorch_recipe(where, name, batches)
    elif contender == "ort-training":
        _write_ort_training(where, name, batches, python[0])
    else:
        _write_eager(where, name, batches)


if __name__ == "__main__":
    main()
