"""An engine that is PyTorch itself, on any of its devices: the functions that an export lowers, called as they are.

It is no device's engine. A study of a large model trains on a GPU with it; the bundle's golden steps, which every
emulated device runs before it trains, say whether it computes what the programs do.

    engine = EagerEngine(manifest, program.build(model.to("cuda"), recipe, analysis), "cuda")
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedrela.core.bundle import PROGRAMS
from fedrela.core.errors import InvalidBundle
from fedrela.core.manifest import Manifest
from fedrela.core.protocol.programs import CARRIED, CHANGING
from fedrela.core.tensors import Array, Params
from fedrela.edge.engines.engine import Batch, StepTotals, from_batch, relabel_inputs
from fedrela.export.program import Definition

_STEPS_AT_ONCE = 16  # between two waits for a GPU


@dataclass
class EagerState:
    """What a step carries on, and the anchors, by input name, on the engine's device."""

    carried: dict[str, Tensor]
    anchors: dict[str, Tensor]


class EagerEngine:
    """See `fedrela.edge.engines.engine.Engine`. `definitions`: of a model that is on `device`.

    Raises InvalidBundle where they are not those of the manifest.
    """

    name = "pytorch"

    def __init__(self, manifest: Manifest, definitions: Mapping[str, Definition], device: str) -> None:
        for program in PROGRAMS:
            declared, made = getattr(manifest, program), definitions[program]
            if (declared.inputs, declared.outputs) != (made.inputs, made.outputs):
                raise InvalidBundle(
                    f"{program} of the bundle takes or gives something else than the model's", remedy="export it again"
                )
        self.manifest, self.version = manifest, str(torch.__version__)
        self._definitions, self._device = definitions, torch.device(device)
        step = manifest.train_step
        self._carried, self._changing, self._anchors = step.role(*CARRIED), step.role(*CHANGING), step.role("anchor")
        self._rates = tuple(item.name for item in step.role("hyperparameter"))
        # As the programs compute: in all of float32's bits, and the same again after a resumption and on other cores.
        torch.set_num_threads(1)
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.deterministic = True

    def start(self, weights: Params) -> EagerState:
        """See `Engine.start`."""
        return self.restore(weights, weights)

    def restore(self, weights: Params, snapshot: Mapping[str, Array]) -> EagerState:
        """See `Engine.restore`."""
        zeros = {item.name: np.zeros([int(size) for size in item.shape], np.float32) for item in self._carried}
        carried = {name: self._tensor(snapshot.get(name, zero)) for name, zero in zeros.items()}
        names = [item.name for item in self._anchors]
        return EagerState(carried, {name: self._tensor(weights[name.removeprefix("anchor.")]) for name in names})

    def train_step(self, state: EagerState, batch: Batch) -> StepTotals:
        """See `Engine.train_step`."""
        return StepTotals(*self._step(state, batch).tolist())

    def train_steps(self, state: EagerState, batches: Iterator[Batch], most: int) -> list[StepTotals]:
        """See `Engine.train_steps`: a GPU works on while the next batch is drawn."""
        totals = [self._step(state, batch) for batch in islice(batches, min(most, _STEPS_AT_ONCE))]
        return [StepTotals(*row) for row in torch.stack(totals).tolist()]

    def weights(self, state: EagerState) -> Params:
        """See `Engine.weights`."""
        return {spec.name: _array(state.carried[spec.name]) for spec in self.manifest.weights}

    def snapshot(self, state: EagerState) -> dict[str, Array]:
        """See `Engine.snapshot`."""
        return {name: _array(tensor) for name, tensor in state.carried.items()}

    def predict(self, weights: Params, x: Mapping[str, Array], randoms: Mapping[str, Array]) -> NDArray[np.float32]:
        """See `Engine.predict`."""
        given = {**weights, **x, **randoms}
        inputs = {item.name: given[item.name] for item in self.manifest.predict.inputs}
        return np.asarray(self.run("predict", inputs)["probabilities"])

    def relabel(
        self,
        probabilities: NDArray[np.float32],
        labels: NDArray[np.int64],
        uniforms: NDArray[np.float32],
        threshold_percent: float,
    ) -> NDArray[np.int64]:
        """See `Engine.relabel`."""
        inputs = relabel_inputs(self.manifest, probabilities, labels, uniforms, threshold_percent)
        return np.asarray(self.run("relabel", inputs)["new_labels"])

    def run(self, program: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """See `Engine.run`."""
        outputs = self._call(program, {name: self._tensor(array) for name, array in inputs.items()})
        return {name: _array(tensor) for name, tensor in outputs.items()}

    def _step(self, state: EagerState, batch: Batch) -> Tensor:
        """The totals (3,) of a step, which need not be over yet."""
        fed = from_batch(self._changing, batch) | {
            name: np.array(batch.hyperparameters[name], np.float32) for name in self._rates
        }
        inputs = {name: self._tensor(array) for name, array in fed.items()}
        outputs = self._call("train_step", state.carried | state.anchors | inputs)
        state.carried = {name: outputs.pop(f"new.{name}") for name in state.carried}
        return torch.stack(list(outputs.values()))

    def _call(self, program: str, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        definition = self._definitions[program]
        with self._device:  # what a function makes is there, too
            outputs = definition.function(*(inputs[item.name] for item in definition.inputs))
        return dict(zip(definition.outputs, outputs, strict=True))

    def _tensor(self, array: Array) -> Tensor:
        """A copy on the device: nothing of the caller's is ever written."""
        return torch.tensor(np.asarray(array), device=self._device)


def _array(tensor: Tensor) -> Any:
    return tensor.detach().cpu().numpy().copy()
