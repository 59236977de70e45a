"""Bundles for a study: each method is exported once, and gets the start weights of a seed or of a trunk.

May import `core`; `fedrela export` and `study.start` run as processes.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

from core import bundle, tensors
from core.bundle import Bundle
from core.errors import FedRelaError
from core.tensors import Params
from study.cells import Cell
from study.methods import METHODS


class ExportFailed(FedRelaError):
    """`fedrela export`, or the model's own code, failed."""


def exported(cell: Cell, classes: int, folder: Path) -> Bundle:
    """The bundle of a cell's model and method, exported on first use."""
    method = METHODS[cell.method]
    target = cell.model.build + method.model_suffix
    options = [option.format(classes=classes) for option in method.export]
    command = ["export", target, "--input", cell.model.input, "--classes", str(classes), *options]
    if cell.model.augment:
        command += ["--augment", ",".join(cell.model.augment)]
    name = hashlib.sha256(json.dumps(command).encode()).hexdigest()[:12]
    out = folder / f"{cell.method}-{name}"
    if not (out / "seal.json").exists():
        _run([sys.executable, "-m", "fedrela", *command, "--out", str(out), "--overwrite"])
    return bundle.read(out)


def start_weights(cell: Cell, opened: Bundle, folder: Path) -> Params:
    """The weights that every method starts from with this seed, in the bundle's order."""
    target = cell.model.build + METHODS[cell.method].model_suffix
    path = folder / f"start-{target.replace(':', '.')}-{cell.seed}.safetensors"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        _run([sys.executable, "-m", "study.start", target, str(cell.seed), str(part)])
        part.replace(path)
    found = tensors.read(path.read_bytes())
    weights = {spec.name: found[spec.name] for spec in opened.manifest.weights}
    tensors.check(weights, opened.manifest.weights)
    return weights


def with_weights(opened: Bundle, weights: Params, folder: Path) -> Bundle:
    """A copy of a bundle in `folder` that starts from `weights`: nothing else differs."""
    shutil.copytree(opened.folder, folder, dirs_exist_ok=True)
    bundle.write(folder, opened.manifest, weights)
    return bundle.read(folder)


def _run(command: list[str]) -> None:
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        told = (finished.stderr.strip() or finished.stdout.strip()).splitlines()
        raise ExportFailed(
            f"`{' '.join(command[2:4])}` failed: {told[-2] if len(told) > 1 else told}",
            remedy=told[-1].strip() if told else "run it by hand",
        )
