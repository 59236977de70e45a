"""Bundles for a study: each method is exported once, and gets the start weights of a seed or of a trunk.

`fedrela export` and `fedrela.study.runs.start` run as processes. These bundles never leave the study, so a key that is
thrown away signs them.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fedrela.core import bundle, interpreter, signing, tensors
from fedrela.core.bundle import Bundle
from fedrela.core.errors import FedRelaError
from fedrela.core.tensors import Params
from fedrela.study.methods import METHODS
from fedrela.study.runs.cells import Cell


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
    with _alone(out):
        if not (out / "seal.json").exists():
            with tempfile.TemporaryDirectory(prefix="part-", dir=folder) as part:
                key = Path(part, "publisher.key")
                key.write_text(signing.generate_key())
                _run(interpreter.command("fedrela", *command, "--publisher-key", str(key), "--out", f"{part}/bundle"))
                shutil.rmtree(out, ignore_errors=True)
                Path(part, "bundle").rename(out)
    return bundle.read(out)


def start_weights(cell: Cell, opened: Bundle, folder: Path) -> Params:
    """The weights that every method starts from with this seed, in the bundle's order."""
    target = cell.model.build + METHODS[cell.method].model_suffix
    path = folder / f"start-{target.replace(':', '.')}-{cell.seed}.safetensors"
    with _alone(path):
        if not path.exists():
            part = path.with_suffix(f".{os.getpid()}.part")
            _run(interpreter.command("fedrela.study.runs.start", target, str(cell.seed), str(part)))
            part.replace(path)
    stored = tensors.read(path.read_bytes())
    weights = {spec.name: stored[spec.name] for spec in opened.manifest.weights}
    tensors.check(weights, opened.manifest.weights)
    return weights


def with_weights(opened: Bundle, weights: Params, folder: Path) -> Bundle:
    """A copy of a bundle in `folder` that starts from `weights`: nothing else differs."""
    shutil.copytree(opened.folder, folder, dirs_exist_ok=True)
    bundle.write(folder, opened.manifest, weights, private_key=signing.generate_key())
    return bundle.read(folder)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Cells that run at the same time make what they share once; the others wait. A killed process holds nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(path.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(command: list[str]) -> None:
    environment = interpreter.environment()
    finished = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if finished.returncode:
        lines = (finished.stderr.strip() or finished.stdout.strip()).splitlines()
        raise ExportFailed(
            f"`{' '.join(command[3:5])}` failed: {lines[-2] if len(lines) > 1 else lines}",
            remedy=lines[-1].strip() if lines else "run it by hand",
        )
