"""Optimizers as functions against torch.optim, over several steps."""

import pytest
import torch

from fedrela.core.errors import InvalidInput
from fedrela.export import optimizers

HYPERPARAMETERS = {"lr": 0.1, "momentum": 0.8, "weight_decay": 0.03, "beta1": 0.9, "beta2": 0.99, "adam_epsilon": 1e-8}
TORCH = {
    "sgd": lambda p: torch.optim.SGD(p, 0.1, momentum=0.8, weight_decay=0.03),
    "nesterov": lambda p: torch.optim.SGD(p, 0.1, momentum=0.8, weight_decay=0.03, nesterov=True),
    "plain-sgd": lambda p: torch.optim.SGD(p, 0.1, weight_decay=0.03),
    "adamw": lambda p: torch.optim.AdamW(p, 0.1, (0.9, 0.99), 1e-8, 0.03),
}


@pytest.mark.parametrize("name", optimizers.OPTIMIZERS)
def test_five_steps_are_torchs(name):
    generator = torch.Generator().manual_seed(0)
    start = {"w": torch.randn(3, 2, generator=generator), "b": torch.randn(2, generator=generator)}
    theirs = {key: value.clone().requires_grad_() for key, value in start.items()}
    torch_optimizer = TORCH[name](list(theirs.values()))
    ours, optimizer = dict(start), optimizers.find(name)
    shapes = {key: tuple(value.shape) for key, value in start.items()}
    state = {key: torch.zeros(shape) for key, shape in optimizer.state(shapes).items()}
    hyperparameters = {key: torch.tensor(value) for key, value in HYPERPARAMETERS.items()}
    for _ in range(5):
        grads = {key: torch.randn(value.shape, generator=generator) for key, value in start.items()}
        for key, value in theirs.items():
            value.grad = grads[key].clone()
        torch_optimizer.step()
        ours, state = optimizer.update(ours, grads, state, hyperparameters)
        for key, value in theirs.items():
            assert torch.allclose(ours[key], value, rtol=1e-5, atol=1e-6)
    assert set(state) == set(optimizer.state(shapes))


def test_an_unknown_optimizer_is_refused():
    with pytest.raises(InvalidInput, match="adamw"):
        optimizers.find("rmsprop")
