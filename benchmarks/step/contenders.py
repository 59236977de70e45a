"""Every contender as a step and a prediction without arguments, opened from the files of `benchmarks.step.files`.

All contenders get the same batch, weights and hyperparameters (SGD with momentum and weight decay, the weighted mean
of the losses; onnxruntime-training's SGD has neither momentum nor weight decay). Each imports its own runtime and
nothing else, so that a process with one contender needs what that contender needs.
"""

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fedrela.core.tensors import Array, Params

SETTINGS = {"lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4}
Action = Callable[[], object]


@dataclass(frozen=True)
class Opened:
    """What a contender can do; `weights` are the trained ones so far, by the model's names."""

    step: Action
    weights: Callable[[], Params]
    predict: Action | None = None


def opened(contender: str, folder: Path, batch: int, threads: int) -> Opened:
    """Open `contender` from its files."""
    arrays = dict(np.load(folder / f"batch-{batch}.npz"))
    opener = {
        "eager": _eager,
        "onnx": _exported,
        "executorch": _exported,
        "executorch-recipe": _executorch_recipe,
    }[contender]
    return opener(contender, folder, arrays, threads)


def _eager(contender: str, folder: Path, arrays: dict[str, Array], threads: int) -> Opened:
    """A step and a prediction as one writes them in PyTorch."""
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(threads)
    model = torch.load(folder / "model.pt", weights_only=False)  # written by the parent just before
    optimizer = torch.optim.SGD(model.parameters(), **SETTINGS)
    x, y, weight = (torch.from_numpy(arrays[name]) for name in ("x", "y", "sample_weight"))

    def step() -> None:
        model.train()
        optimizer.zero_grad()
        loss = (F.cross_entropy(model(x), y, reduction="none") * weight).sum() / weight.sum()
        loss.backward()
        optimizer.step()

    def predict() -> object:
        model.eval()
        with torch.no_grad():
            return torch.softmax(model(x), 1)

    return Opened(step, lambda: {n: t.detach().numpy() for n, t in model.named_parameters()}, predict)


def _exported(contender: str, folder: Path, arrays: dict[str, Array], threads: int) -> Opened:
    """Our program on the engine that a device uses."""
    from fedrela.edge.engines.engine import Batch, Engine

    plain: dict[str, Any] = pickle.loads((folder / "plain.pickle").read_bytes())  # written by the parent
    manifest = plain["manifest"]
    engine: Engine
    if contender == "onnx":
        from fedrela.edge.engines.onnx_engine import OnnxEngine

        engine = OnnxEngine(manifest, plain["programs"], threads=threads)
    else:
        from fedrela.edge.engines.executorch_engine import ExecutorchEngine

        engine = ExecutorchEngine(manifest, plain["programs"], threads=threads)
    state = engine.start(plain.pop("weights"))
    (name,) = (item.name for item in manifest.train_step.role("x"))
    randoms = {item.name: arrays[item.name] for item in manifest.train_step.role("random")}
    batch = Batch({name: arrays["x"]}, arrays["y"], arrays["sample_weight"], SETTINGS, randoms)
    known: list[Params] = []

    def predict() -> object:
        known[:] = known or [engine.weights(state)]
        return engine.predict(known[0], {name: arrays["x"]}, {})

    predicts = predict if "predict" in plain["programs"] else None
    return Opened(lambda: engine.train_step(state, batch), lambda: engine.weights(state), predicts)


def _executorch_recipe(contender: str, folder: Path, arrays: dict[str, Array], threads: int) -> Opened:
    """ExecuTorch's own program, trained as its documentation says."""
    import torch
    from executorch.extension.pybindings import portable_lib
    from executorch.extension.training import TrainingModule, get_sgd_optimizer

    portable_lib._unsafe_reset_threadpool(threads)
    x, y = torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["y"])
    training = TrainingModule(portable_lib._load_for_executorch(str(folder / f"forward-{len(y)}.pte")))
    optimizers: list[Any] = []

    def step() -> None:
        training.forward_backward("forward", (x, y))
        if not optimizers:  # parameters have names only after a first pass
            optimizers.append(get_sgd_optimizer(training.named_parameters(), **SETTINGS))
        optimizers[0].step(training.named_gradients())

    def weights() -> Params:
        parameters = training.named_parameters()
        return {name.removeprefix("model."): tensor.numpy().copy() for name, tensor in parameters.items()}

    return Opened(step, weights)
