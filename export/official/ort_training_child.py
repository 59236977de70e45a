"""Makes and runs onnxruntime-training's artifacts, in the separate environment that this last of its kind needs.

    python ort_training_child.py FOLDER

FOLDER holds train_forward.onnx, eval_forward.onnx, settings.json and golden.npz (`step.name` arrays: inputs and the
parameters before that step). This writes artifacts/ beside them and what the golden steps gave to results.npz. Imports
only what that environment has: numpy, onnx and onnxruntime.training; nothing of this project.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.training import artifacts, onnxblock
from onnxruntime.training.api import CheckpointState, Module, Optimizer

FILES = ("training_model.onnx", "eval_model.onnx", "optimizer_model.onnx", "checkpoint")


def main(folder: Path) -> None:
    """Make the artifacts, then train with them."""
    settings = json.loads((folder / "settings.json").read_text())
    made = make(folder, settings)
    results = train(made, settings, np.load(folder / "golden.npz"))
    np.savez(folder / "results.npz", **results)  # type: ignore[arg-type]  # numpy's own options are no arrays


def make(folder: Path, settings: dict[str, Any]) -> Path:
    """The four files, in a folder; the evaluation model comes from the forward pass in evaluation mode.

    An optimizer with the golden steps' constants stays in scratch/: AdamW's are fixed in its file.
    """
    made, scratch = folder / "artifacts", folder / "scratch"
    jobs = (scratch, "eval_forward.onnx", "golden_constants"), (made, "train_forward.onnx", "constants")
    for target, source, constants in jobs:
        target.mkdir()
        statistics = [f"new.{name}" for name in settings["statistics"]] if source == "train_forward.onnx" else []
        artifacts.generate_artifacts(
            str(folder / source),
            requires_grad=settings["trainable"],
            frozen_params=settings["frozen"],
            optimizer=optimizer(settings["optimizer"], settings[constants]),
            artifact_directory=str(target),
            loss_input_names=["loss"],
            additional_output_names=["correct_sum", "probabilities", *statistics],
        )
        as_torch_does(target / FILES[2])
    (scratch / "eval_model.onnx").replace(made / "eval_model.onnx")
    return made


def optimizer(name: str, constants: dict[str, float]) -> Any:
    """The optimizer's graph; its constants but for the learning rate."""
    if name == "adamw":
        betas = (constants["beta1"], constants["beta2"])
        return onnxblock.optim.AdamW(True, betas, constants["adam_epsilon"], constants["weight_decay"])
    return onnxblock.optim.SGD()


def as_torch_does(path: Path) -> None:
    """AdamW in mode 0: decay first, and epsilon added after the bias correction. The package writes mode 1."""
    model = onnx.load(path)
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "adam_mode":
                attribute.i = 0
    onnx.save(model, path)


def train(made: Path, settings: dict[str, Any], golden: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """New parameters, loss and count of every golden step, and the probabilities that the evaluation model gives."""
    state = CheckpointState.load_checkpoint(str(made / FILES[3]))
    module = Module(str(made / FILES[0]), state, str(made / FILES[1]))
    stepper = Optimizer(str(made.parent / "scratch" / FILES[2]), module)
    stepper.set_learning_rate(settings["lr"])
    results = {f"checkpoint.{name}": np.array(state.parameters[name].data) for name in settings["trainable"]}
    statistics = {name: golden[f"0.{name}"] for name in settings["statistics"]}
    for step in range(settings["steps"]):
        module.train()
        # A step of AdamW on rounding noise is any step: such parameters are given, lest they lead the others astray.
        for name in settings["undetermined"] if step else settings["trainable"]:
            state.parameters[name].data = golden[f"{step}.{name}"]
        inputs = {name: golden[f"{step}.{name}"] for name in settings["fed"]} | statistics
        loss, correct, _, *new = module(*[inputs[name] for name in settings["fed"]])
        statistics = {name: np.array(value) for name, value in zip(statistics, new, strict=True)}
        stepper.step()
        module.lazy_reset_grad()
        results |= {f"{step}.new.{name}": np.array(state.parameters[name].data) for name in settings["trainable"]}
        results |= {f"{step}.new.{name}": value for name, value in statistics.items()}
        results |= {f"{step}.loss": np.array(loss), f"{step}.correct_sum": np.array(correct)}
    module.eval()
    inputs = {name: golden[f"0.{name}"] for name in settings["fed_eval"]} | statistics
    results["probabilities"] = np.array(module(*[inputs[name] for name in settings["fed_eval"]])[2])
    return results


if __name__ == "__main__":
    main(Path(sys.argv[1]))
