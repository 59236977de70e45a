"""Run a bundle as a device would: read it, check every hash, load its programs into a runtime and compare what they
give.

Started as `python -m fedrela.export.verification.replay FOLDER --runtime onnx` in a process of its own, without torch
for the ONNX runtime. With - for the folder, it loads the runtime and then waits for a line that names it.

    $ python -m fedrela.export.verification.replay bundle --runtime onnx
    {"golden": {"train_step.0.new.weight": 1.2e-07, ...}, "steps": {}}
"""

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fedrela.core import bundle, golden, tensors
from fedrela.core.bundle import PROGRAMS, Bundle, Program
from fedrela.core.errors import FedRelaError, InvalidBundle, MissingDependency
from fedrela.core.onnx_files import rules
from fedrela.core.pte_files import rules as pte_rules
from fedrela.core.tensors import Array

STEPS_FILE = "steps.safetensors"
ROUNDING = "rounding"  # what eager PyTorch itself is off from float64, as an addition to the scale
START = "start"  # the weights that every program begins with
RESTART = "restart"  # marks a step after which the next one starts from eager PyTorch's state
RUNTIMES = ("onnx", "executorch")
Run = Callable[[dict[str, Array]], Mapping[str, Array]]


def load(opened: Bundle, runtime: str, names: tuple[str, ...] = PROGRAMS) -> dict[str, Run]:
    """Programs as functions of named arrays. Raises MissingDependency without the runtime."""
    programs = {name: getattr(opened.manifest, name) for name in names}
    openers = {"onnx": _onnx, "executorch": _executorch}
    return {name: openers[runtime](opened.folder, program) for name, program in programs.items()}


def golden_errors(opened: Bundle, runs: Mapping[str, Run]) -> dict[str, float]:
    """Relative error of every recorded golden output. Raises nothing: the caller decides."""
    expected = tensors.read((opened.folder / opened.manifest.golden.path).read_bytes())
    return golden.errors(opened.manifest, expected, golden.run(opened.manifest, *(runs[name] for name in PROGRAMS)))


def step_errors(runs: Mapping[str, Run], steps: Mapping[str, Array]) -> dict[str, float]:
    """Relative error of every output of the steps of `fedrela.export.verification.equality`: whole tensors, own state
    carried along. An input that a step is not given is what eager PyTorch's step before had or made of it.

    Not so where a step allows more than the tolerance, nor at all after one that is marked for a restart: what rounding
    decides there would decide all later steps. What a carried tensor is off after a step it may be off after the next
    one: its error is relative to the largest change of any step since it began.
    """
    errors: dict[str, float] = {}
    carried: dict[str, Array] = {}
    scales: dict[str, float] = {}
    start = _under(f"{START}/", steps)
    before_step = start
    for prefix in sorted({name.split("/")[0] for name in steps} - {START}):
        program = prefix.split(".")[0]
        inputs = (before_step if program == "train_step" else start) | _under(f"{prefix}/in/", steps)
        expected = _under(f"{prefix}/out/", steps)
        scales = {name: scale for name, scale in scales.items() if name.removeprefix("new.") in carried}
        outputs = runs[program](inputs | (carried if program == "train_step" else {}))
        if program == "train_step":
            settled = [name for name in outputs if name.startswith("new.") and f"{prefix}/allow/{name}" not in steps]
            carried = {name.removeprefix("new."): outputs[name] for name in settled}
            carried = {} if f"{prefix}/{RESTART}" in steps else carried
            before_step = inputs | _under("new.", expected)
        for name, want in expected.items():
            before = inputs[name.removeprefix("new.")] if name.startswith("new.") else 0.0
            scales[name] = max(golden.change_scale(want, before), scales.get(name, 0.0))
            allowed = max(float(steps.get(f"{prefix}/{kind}/{name}", 0.0)) for kind in ("allow", ROUNDING))
            errors[f"{prefix}.{name}"] = _error(name, want, np.asarray(outputs[name]), scales[name] + allowed)
    return errors


def _under(prefix: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}


def _error(name: str, expected: Array, actual: Array, scale: float) -> float:
    """The largest difference relative to `scale`; labels by how many differ: 1 in 1000 makes 1e-4."""
    if name == "new_labels" and expected.shape == actual.shape:
        return float(np.mean(expected != actual)) / 10
    return golden.relative(golden.difference(expected, actual), scale)


def _onnx(folder: Path, program: Program) -> Run:
    onnxruntime = _onnxruntime()
    file = program.file("onnx")
    if file is None:
        raise InvalidBundle("the bundle has no ONNX programs", remedy="export it with --runtime onnx")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.log_severity_level = 3
    body = (folder / file.path).read_bytes()
    rules.check(body, file.path)  # whoever looks into a bundle doesn't trust it yet
    session = onnxruntime.InferenceSession(body, options, providers=["CPUExecutionProvider"])
    names = list(program.outputs)

    def run(inputs: dict[str, Array]) -> dict[str, Array]:
        feed = {item.name: np.asarray(inputs[item.name], dtype=item.dtype) for item in program.inputs}
        return dict(zip(names, session.run(names, feed), strict=True))

    return run


def _executorch(folder: Path, program: Program) -> Run:
    torch, portable_lib = _executorchs()
    file = program.file("executorch")
    if file is None:
        raise InvalidBundle("the bundle has no ExecuTorch programs", remedy="export it with --runtime executorch")
    body = (folder / file.path).read_bytes()
    pte_rules.check(body, file.path)
    held = portable_lib._load_program_from_buffer(body)
    method = held.load_method("forward")

    def run(inputs: dict[str, Array]) -> dict[str, Array]:
        assert body  # a method is valid only as long as its program, and a program as long as its bytes
        assert held
        feed = [torch.from_numpy(np.array(inputs[item.name], dtype=item.dtype)) for item in program.inputs]
        results = [value.numpy() for value in method(feed)]
        return dict(zip(program.outputs, results, strict=True))

    return run


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependency("onnxruntime is not installed", remedy="pip install onnxruntime") from error
    return onnxruntime


def _executorchs() -> tuple[Any, Any]:
    """torch and ExecuTorch's bindings."""
    try:
        import torch
        from executorch.extension.pybindings import _portable_lib  # alone: its wrapper imports the whole compiler
    except ImportError as error:
        raise MissingDependency("executorch is not installed", remedy="pip install 'fedrela[export]'") from error
    return torch, _portable_lib


_RUNTIMES: dict[str, Callable[[], object]] = {"onnx": _onnxruntime, "executorch": _executorchs}


def available(opened: Bundle) -> tuple[str, ...]:
    """The runtimes that the bundle has all three programs for."""
    programs = [getattr(opened.manifest, name) for name in PROGRAMS]
    return tuple(runtime for runtime in RUNTIMES if all(program.file(runtime) for program in programs))


def main(arguments: Iterable[str]) -> int:
    """Print the errors as one JSON object; on one of our own errors print that instead and return 1."""
    folder, _, runtime = arguments
    try:
        _RUNTIMES[runtime]()
        folder = sys.stdin.readline().strip() if folder == "-" else folder
        opened = bundle.read_unsigned(Path(folder))
        runs = load(opened, runtime)
        steps_file = Path(folder) / STEPS_FILE
        steps = tensors.read(steps_file.read_bytes()) if steps_file.is_file() else {}
        result = {"golden": golden_errors(opened, runs), "steps": step_errors(runs, steps)}
    except FedRelaError as error:
        print(json.dumps({"problem": error.problem, "remedy": error.remedy}))
        return 1
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
