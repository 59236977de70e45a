"""The local work of `benchmarks.emulator` in plain PyTorch: device after device, or a cohort at once by vmap.

python -m benchmarks.fleets.loops plain 1000 100 10     (prints the seconds of training)
"""

import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch.func import functional_call, grad, vmap

from examples.digits import build

SAMPLES, EPOCHS, BATCH, RATE = 12, 2, 8, 0.05
Weights = dict[str, torch.Tensor]


def data(devices: int) -> tuple[torch.Tensor, torch.Tensor]:
    """x (devices, 12, 1, 8, 8) in 0..1 and y (devices, 12)."""
    digits = load_digits()
    rows = np.random.default_rng(0).integers(0, len(digits.target), (devices, SAMPLES))
    x = torch.tensor(digits.images[rows] / 16, dtype=torch.float32)[:, :, None]
    return x, torch.tensor(digits.target[rows])


def plain(x: torch.Tensor, y: torch.Tensor, cohorts: list[np.ndarray]) -> None:
    """One model, trained by each device in turn; FedAvg by a running mean."""
    model = build()
    for cohort in cohorts:
        start = {name: value.clone() for name, value in model.state_dict().items()}
        total = {name: torch.zeros_like(value) for name, value in start.items()}
        for device in cohort:
            model.load_state_dict(start)
            optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
            for _ in range(EPOCHS):
                order = torch.randperm(SAMPLES)
                for begin in range(0, SAMPLES, BATCH):
                    rows = order[begin : begin + BATCH]
                    optimizer.zero_grad()
                    F.cross_entropy(model(x[device, rows]), y[device, rows]).backward()
                    optimizer.step()
            for name, value in model.state_dict().items():
                total[name] += value
        model.load_state_dict({name: value / len(cohort) for name, value in total.items()})


def vmapped(x: torch.Tensor, y: torch.Tensor, cohorts: list[np.ndarray]) -> None:
    """The whole cohort in one call per step."""
    model = build()
    weights: Weights = {name: value.detach() for name, value in model.named_parameters()}

    def loss(params: Weights, batch_x: torch.Tensor, batch_y: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(functional_call(model, params, (batch_x,)), batch_y)

    step = vmap(grad(loss))
    for cohort in cohorts:
        local = {name: value.expand(len(cohort), *value.shape).clone() for name, value in weights.items()}
        members = torch.tensor(cohort)[:, None]
        for _ in range(EPOCHS):
            order = torch.stack([torch.randperm(SAMPLES) for _ in cohort])
            for begin in range(0, SAMPLES, BATCH):
                rows = order[:, begin : begin + BATCH]
                gradients = step(local, x[members, rows], y[members, rows])
                local = {name: value - RATE * gradients[name] for name, value in local.items()}
        weights = {name: value.mean(0) for name, value in local.items()}


def main() -> None:
    """Time one of the two."""
    kind, devices, cohort, rounds = sys.argv[1], *map(int, sys.argv[2:5])
    torch.manual_seed(0)
    x, y = data(devices)
    rng = np.random.default_rng(1)
    cohorts = [rng.choice(devices, cohort, replace=False) for _ in range(rounds)]
    loop = {"plain": plain, "vmap": vmapped}[kind]
    loop(x, y, cohorts[:1])  # what is compiled or allocated once is not counted
    started = time.perf_counter()
    loop(x, y, cohorts)
    print(time.perf_counter() - started)


if __name__ == "__main__":
    main()
