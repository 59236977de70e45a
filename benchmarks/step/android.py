"""How long a training step takes the Kotlin client on a JVM, against the Python device on the same ONNX Runtime.

    python -m venv .venv-android-step && .venv-android-step/bin/pip install --editable '.[edge]' onnxruntime==1.28.0
    make android
    python -m benchmarks.step.android --python .venv-android-step/bin/python          about 2 minutes

Both run the same programs and the same batch on one thread, in a process each, and take turns; a step is what a device
does in one. Medians by the clock, after as many steps as a JVM takes to compile itself. Prints a table and writes
benchmarks/results/android_step.json.
"""

import argparse
import json
import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.processes.kotlin_victim import JAVA, MAIN
from benchmarks.step import alternation
from benchmarks.step.child import serve
from benchmarks.step.contenders import SETTINGS, Opened
from fedrela.core import bundle, tensors
from fedrela.core.tensors import Array

RESULTS = Path(__file__).parents[1] / "results" / "android_step.json"
BATCH, SECONDS = 8, 10.0
WARM_STEPS, WARM_SECONDS = 3_000, 8.0  # at most
# A net by its name: how `fedrela.export.models` builds it, and what it takes.
NETS = {
    "small CNN": ("small_cnn", {"channels": 1, "size": 28}, "float32:1x28x28"),
    "ResNet-8": ("resnet8", {}, "float32:3x32x32"),
    "MLP": ("tabular_mlp", {"columns": 64, "classes": 10, "hidden": 256}, "float32:64"),
}


def main() -> None:
    """Export, measure, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable, help="an interpreter with the JVM's ONNX Runtime")
    parser.add_argument("--kept", type=Path, default=Path("runs/android_step"), help="folder for exported models")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        serve(opened(arguments.child))
        return
    rows = [measured(name, exported(name, arguments.kept), arguments.python) for name in NETS]
    RESULTS.write_text(json.dumps({"cores": os.cpu_count(), "batch": BATCH, "nets": rows}, indent=1) + "\n")
    print(f"worst ratio {max(row['ratio'] for row in rows):.2f}")


def exported(name: str, kept: Path) -> Path:
    """The net's bundle and a batch for it, made once."""
    folder = kept / name.replace(" ", "-")
    if not (folder / "batch.safetensors").exists():
        from fedrela.export import models
        from fedrela.export.classifier import export_classifier

        build, arguments, takes = NETS[name]
        export_classifier(getattr(models, build)(**arguments), input=takes, classes=10, out=folder / "bundle")
        (folder / "batch.safetensors").write_bytes(tensors.to_bytes(batch(folder / "bundle")))
    return folder


def batch(folder: Path) -> dict[str, Array]:
    """Random values for every input of train_step that isn't carried from step to step."""
    draw = np.random.default_rng(0)
    manifest = bundle.read(folder).manifest
    arrays: dict[str, Array] = {}
    for item in manifest.train_step.inputs:
        shape = tuple(BATCH if size == "B" else int(size) for size in item.shape)
        if item.role in ("x", "random"):
            arrays[item.name] = draw.random(shape, dtype=np.float32)
        elif item.role == "y":
            arrays[item.name] = draw.integers(0, manifest.classes, shape)
        elif item.role == "weight":
            arrays[item.name] = np.ones(shape, np.float32)
        elif item.role == "hyperparameter":
            arrays[item.name] = np.float32(SETTINGS.get(item.name, manifest.hyperparameters.get(item.name, 0.0)))
        elif item.role == "class_prior":
            arrays[item.name] = np.full(shape, 1 / manifest.classes, np.float32)
    return arrays


def opened(folder: Path) -> Opened:
    """The Python device's step."""
    from fedrela.edge.engines.engine import Batch
    from fedrela.edge.engines.onnx_engine import OnnxEngine

    own = bundle.read(folder / "bundle")
    arrays = tensors.read((folder / "batch.safetensors").read_bytes())
    files = {name: getattr(own.manifest, name).file("onnx") for name in bundle.PROGRAMS}
    programs = {name: (own.folder / file.path).read_bytes() for name, file in files.items()}
    engine = OnnxEngine(own.manifest, programs, threads=1)
    state = engine.start(own.weights)

    def of(role: str) -> dict[str, Array]:
        return {item.name: arrays[item.name] for item in own.manifest.train_step.role(role)}

    (y,), (weight,) = of("y").values(), of("weight").values()
    rates = {name: float(value) for name, value in of("hyperparameter").items()}
    one = Batch(of("x"), y, weight, rates, of("random"))
    return Opened(lambda: engine.train_step(state, one), lambda: engine.weights(state))


def warm(child: alternation.Child) -> None:
    """As many steps as a JVM takes to compile itself; fewer of a large net, whose time is the runtime's."""
    began = time.monotonic()
    for _ in range(WARM_STEPS // 100):
        child.ask("step 100")
        if time.monotonic() - began > WARM_SECONDS:
            return


def measured(name: str, folder: Path, python: str) -> dict[str, Any]:
    """Medians of both, in milliseconds."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(alternation.ROOT)}
    java = [word for word in JAVA if "Tiered" not in word]  # a phone's runtime compiles what runs long, too
    bundle_and_batch = ["--bundle", str(folder / "bundle"), "--batch", str(folder / "batch.safetensors")]
    commands = {
        "python": [python, "-m", "benchmarks.step.android", "--child", str(folder)],
        "kotlin": [*java, MAIN, "steps", *bundle_and_batch],
    }
    with ExitStack() as stack:
        children = {}
        for client, command in commands.items():
            children[client] = stack.enter_context(alternation.started(command, environment))
            children[client].answer()
            warm(children[client])
        taken = alternation.milliseconds(children, "step", processor=False, seconds=SECONDS)
    row = {"net": name, **taken, "ratio": taken["kotlin"] / taken["python"]}
    print(
        f"{name:10} Python {taken['python']:.4f} ms, Kotlin {taken['kotlin']:.4f} ms, ratio {row['ratio']:.2f}",
        flush=True,
    )
    return row


if __name__ == "__main__":
    main()
