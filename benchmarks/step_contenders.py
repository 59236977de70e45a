"""One training step, one prediction and one re-labeling, each as a function without arguments, on every contender.

All contenders get the same batch, weights and settings (SGD with momentum and weight decay, a weighted mean of the
losses). May import torch, `benchmarks.step_models`, `core` and `edge`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.step_models import NETS, Lowered
from core.tensors import Array
from edge.engine import Batch, Engine

SETTINGS = {"lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4}
Action = Callable[[], object]


@dataclass(frozen=True)
class Work:
    """A batch, the same for all."""

    x: Array
    y: Array
    weight: Array
    randoms: dict[str, Array]


def work(lowered: Lowered, batch: int) -> Work:
    """Random data of the program's shapes; `randoms` are dropout's uniforms."""
    generator = np.random.default_rng(0)
    (item,) = lowered.manifest.train_step.role("x")
    sizes = {"B": batch}
    randoms = {
        extra.name: generator.random(tuple(sizes.get(d, d) for d in extra.shape), dtype=np.float32)
        for extra in lowered.manifest.train_step.role("random")
    }
    x = generator.standard_normal((batch, *item.shape[1:])).astype(np.float32)
    y = generator.integers(0, lowered.manifest.classes, batch)
    return Work(x, y, np.ones(batch, np.float32), randoms)


def eager(name: str, lowered: Lowered, given: Work) -> tuple[Action, Action]:
    """A step and a prediction as one writes them in PyTorch."""
    model = lowered.model(NETS[name]).train()
    optimizer = torch.optim.SGD(model.parameters(), **SETTINGS)
    x, y, weight = (torch.from_numpy(array) for array in (given.x, given.y, given.weight))

    def step() -> object:
        model.train()
        optimizer.zero_grad()
        loss = (F.cross_entropy(model(x), y, reduction="none") * weight).sum() / weight.sum()
        loss.backward()
        optimizer.step()
        return loss

    def predict() -> object:
        model.eval()
        with torch.no_grad():
            return torch.softmax(model(x), 1)

    return step, predict


def engine(runtime: str, lowered: Lowered, threads: int) -> Engine:
    """The engine that a device uses."""
    if runtime == "onnx":
        from edge.onnx_engine import OnnxEngine as Chosen
    else:
        from edge.executorch_engine import ExecutorchEngine as Chosen
    return Chosen(lowered.manifest, lowered.programs[runtime], threads=threads)


def exported(runtime: str, lowered: Lowered, given: Work, threads: int) -> tuple[Action, Action]:
    """A step and a prediction of our program on `runtime`."""
    opened = engine(runtime, lowered, threads)
    state = opened.start(lowered.weights)
    (name,) = (item.name for item in lowered.manifest.train_step.role("x"))
    batch = Batch({name: given.x}, given.y, given.weight, SETTINGS, given.randoms)
    return (
        lambda: opened.train_step(state, batch),
        lambda: opened.predict(lowered.weights, {name: given.x}, {}),
    )


def executorch_recipe(name: str, lowered: Lowered, given: Work) -> Action | None:
    """A step as ExecuTorch's own documentation writes it; None where its export or its runtime gives up."""
    from executorch.exir import EdgeCompileConfig, to_edge
    from executorch.extension.pybindings.portable_lib import _load_for_executorch_from_buffer
    from executorch.extension.training import TrainingModule, get_sgd_optimizer
    from torch.export.experimental import _export_forward_backward

    x, y = torch.from_numpy(given.x), torch.from_numpy(given.y)
    try:
        module = _WithLoss(lowered.model(NETS[name]))
        joint = _export_forward_backward(torch.export.export(module, (x, y), strict=True), joint_loss_index=0)
        edge = to_edge(joint, compile_config=EdgeCompileConfig(_check_ir_validity=False))
        training = TrainingModule(_load_for_executorch_from_buffer(edge.to_executorch().buffer))
        training.forward_backward("forward", (x, y))
        optimizer = get_sgd_optimizer(training.named_parameters(), **_sgd_arguments())
    except Exception as error:  # whatever its many layers raise means: it doesn't work for this net
        print(f"  ExecuTorch's own recipe gives up on {name}: {str(error).splitlines()[0][:100]}")
        return None

    def step() -> object:
        loss = training.forward_backward("forward", (x, y))
        optimizer.step(training.named_gradients())
        return loss

    return step


def _sgd_arguments() -> dict[str, float]:
    return {"lr": SETTINGS["lr"], "momentum": SETTINGS["momentum"], "weight_decay": SETTINGS["weight_decay"]}


class _WithLoss(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = self.model(x)
        return F.cross_entropy(logits, y), logits.detach().argmax(1)
