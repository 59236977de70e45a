"""onnxruntime-training's own loop over its four files, in the environment that has it; see `benchmarks.step.child`.

    PYTHONPATH=. PYTHON benchmarks/step/ort_training.py FOLDER 32 1

Imports only what that environment has: numpy, onnxruntime.training, and `benchmarks.step.child`, which needs no more.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnxruntime.training.api import CheckpointState, Module, Optimizer

from benchmarks.step.child import serve


@dataclass(frozen=True)
class Opened:
    """As `benchmarks.step.contenders.Opened`."""

    step: Any
    weights: Any
    predict: Any = None


def main():
    """Load the four files and take turns."""
    folder, batch, threads = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    arrays = np.load(folder / f"batch-{batch}.npz")
    fed = [arrays[name] for name in json.loads((folder / "fed.json").read_text())]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    state = CheckpointState.load_checkpoint(str(folder / "checkpoint"))
    module = Module(str(folder / "training_model.onnx"), state, session_options=options)
    optimizer = Optimizer(str(folder / "optimizer_model.onnx"), module)
    optimizer.set_learning_rate(0.01)
    module.train()

    def step():
        module(*fed)
        optimizer.step()
        module.lazy_reset_grad()

    def weights():
        return {name: np.array(parameter.data) for name, parameter in state.parameters}

    serve(Opened(step, weights))


if __name__ == "__main__":
    main()
