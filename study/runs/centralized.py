"""References on the pooled data, trained by PyTorch itself: what a data center that saw everything would reach.

Same model, start weights, augmentation, optimizer and number of passes as the federation; the learning rate falls by
the factor 10 for the last fifth. `centralised-balanced` adds balanced softmax with the true counts.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from fedrela.core.tensors import Array
from fedrela.export.inputs import Pipeline, parse, parse_augment
from fedrela.export.loading import load_model
from fedrela.study.runs.cells import Cell

_LAST_SHARE = 0.8
_LR_SCALE = 0.1
_PREDICT_BATCH = 512
_KEEP_SECONDS = 2.0


@dataclass(frozen=True)
class Pooled:
    """All devices' samples x (n, ...), y (n,), and the test part x_test (m, ...)."""

    x: Array
    y: NDArray[np.int64]
    x_test: Array
    classes: int


def train_and_predict(
    cell: Cell,
    data: Pooled,
    epoch_done: Callable[[int], None],
    device: str = "cpu",
    state: Path | None = None,
) -> NDArray[np.float32]:
    """Probabilities (m, C) of the test part, after training, which goes on from the file `state` if it is there.

    Every draw is made by the processor, so a GPU sees the same batches and crops; only its sums round differently.
    """
    torch.set_num_threads(1)  # sums over several threads round differently: a reference must not depend on the cores
    torch.manual_seed(cell.seed)
    model = load_model(cell.model.build).to(device)
    augment = _Augment(cell)
    pixels, labels = torch.from_numpy(data.x).to(device), torch.from_numpy(data.y).to(device)
    shift = torch.zeros(data.classes, device=device)
    if cell.method == "centralised-balanced":
        shift = torch.log(torch.bincount(labels, minlength=data.classes).clamp(min=1).float())
    training, run = cell.training, _Run(cell, model)
    begun = run.resume(state)
    for epoch in range(begun, run.epochs):
        model.train()
        for rows in torch.split(torch.randperm(len(data.y), generator=run.draw), training.batch_size):
            if len(rows) == 1:
                continue  # batch normalization has no variance of one sample
            rows = rows.to(device)
            loss = cross_entropy(model(augment(pixels[rows], run.draw)) + shift, labels[rows])
            run.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            run.optimizer.step()
        run.schedule.step()
        run.keep(state, epoch + 1)
        epoch_done(epoch + 1)
    return _predict(model, augment, torch.from_numpy(data.x_test), device)


class _Run:
    """What changes from epoch to epoch, and its file."""

    def __init__(self, cell: Cell, model: nn.Module) -> None:
        training = cell.training
        self.epochs = training.rounds * training.epochs
        self.model = model
        self.optimizer = torch.optim.SGD(
            model.parameters(), training.lr, momentum=training.momentum, weight_decay=training.weight_decay
        )
        milestones = [int(_LAST_SHARE * self.epochs)]
        self.schedule = torch.optim.lr_scheduler.MultiStepLR(self.optimizer, milestones, _LR_SCALE)
        self.draw = torch.Generator().manual_seed(cell.seed)
        self._kept_at = time.monotonic()

    def resume(self, path: Path | None) -> int:
        """Take up what a killed run had kept. Returns how many epochs are done."""
        if path is None or not path.exists():
            return 0
        kept = torch.load(path, weights_only=False)
        for name, part in self._parts().items():
            part.load_state_dict(kept[name])
        self.draw.set_state(kept["draw"])
        torch.set_rng_state(kept["layers"])
        return int(kept["epochs"])

    def keep(self, path: Path | None, epochs: int) -> None:
        """Write it all to the file, all or nothing; epochs that take less than a moment share a file."""
        if path is None or time.monotonic() - self._kept_at < _KEEP_SECONDS:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        states = {name: part.state_dict() for name, part in self._parts().items()}
        states |= {"draw": self.draw.get_state(), "layers": torch.get_rng_state(), "epochs": epochs}
        torch.save(states, part := path.with_suffix(".part"))
        part.replace(path)
        self._kept_at = time.monotonic()

    def _parts(self) -> dict[str, Any]:
        return {"model": self.model, "optimizer": self.optimizer, "schedule": self.schedule}


def _predict(model: nn.Module, augment: "_Augment", x: Tensor, device: str) -> NDArray[np.float32]:
    model.eval()
    with torch.no_grad():
        parts = [
            torch.softmax(model(augment.plain(x[start : start + _PREDICT_BATCH].to(device))), 1)
            for start in range(0, len(x), _PREDICT_BATCH)
        ]
    return np.asarray(torch.cat(parts).cpu().numpy())


class _Augment:
    """The pipeline of the exported programs, fed by torch's generator."""

    def __init__(self, cell: Cell) -> None:
        self._raw = parse(cell.model.input)
        self._plain = Pipeline()
        self._full = parse_augment(",".join(cell.model.augment), self._plain)

    def __call__(self, x: Tensor, draw: torch.Generator) -> Tensor:
        shapes = self._full.randoms(self._raw)
        randoms = {
            name: torch.rand([len(x) if isinstance(size, str) else size for size in shape], generator=draw).to(x.device)
            for name, shape in shapes.items()
        }
        return self._on_the_device_of(x, self._full, randoms)

    def plain(self, x: Tensor) -> Tensor:
        """Without augmentation."""
        return self._on_the_device_of(x, self._plain, {})

    def _on_the_device_of(self, x: Tensor, pipeline: Pipeline, randoms: dict[str, Tensor]) -> Tensor:
        with x.device:  # the pipeline makes small tensors of its own, such as the places of a crop
            return pipeline(self._raw, x, randoms)
