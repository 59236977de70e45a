"""Losses, optimizers, heads, partial training, several inputs: each trained by both runtimes as eager PyTorch does."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
import torch
from torch import nn

from fedrela.export import heads, losses
from fedrela.export.classifier import gather
from fedrela.export.verification.comparison import training_errors
from fedrela.export.verification.replay import RUNTIMES


def own_loss(logits, y, class_prior, sharpness=1.5):
    """Cross-entropy of sharpened logits, an example weighing more the rarer its class is here."""
    return losses.cross_entropy(sharpness * logits, y) / (0.1 + losses.one_hot(y, logits) @ class_prior)


def net():
    """Five numbers to three classes."""
    return nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3))


class Two(nn.Module):
    """An image and two numbers, by name."""

    def __init__(self):
        super().__init__()
        self.image, self.head = nn.Conv2d(1, 2, 3), nn.Linear(4, 3)

    def forward(self, image, age):
        """Logits (B, 3)."""
        return self.head(torch.cat([self.image(image).mean((2, 3)), age], 1))


TWO_INPUTS = ["image=uint8:1x5x4", "age=float32:2"]
RECIPES = {
    "label smoothing, Nesterov": (net, {"loss": "label-smoothing", "optimizer": "nesterov"}),
    "focal, AdamW": (net, {"loss": "focal", "optimizer": "adamw"}),
    "balanced softmax, FedProx": (
        net,
        {"loss": "balanced-softmax", "proximal": True, "hyperparameters": {"proximal": 0.5}},
    ),
    "logit adjustment, plain SGD": (net, {"loss": "logit-adjustment", "optimizer": "plain-sgd"}),
    "a loss of one's own, FedProx, AdamW": (net, {"loss": own_loss, "proximal": True, "optimizer": "adamw"}),
    "fixed equiangular head": (lambda: heads.with_fixed_etf(net()), {}),
    "sparse equiangular head": (lambda: heads.with_sparse_etf(net(), sparsity=0.5), {}),
    "the head alone": (net, {"trainable": ["2.*"], "hyperparameters": {"momentum": 0.9, "weight_decay": 0.01}}),
    "several inputs, flipped": (Two, {"input": TWO_INPUTS, "augment": "flip", "mean": [0.4], "std": [0.2]}),
}


# On ExecuTorch in every run: those whose operators no other has.
ON_EXECUTORCH = {"focal, AdamW", "balanced softmax, FedProx", "several inputs, flipped"}


def parameters() -> Iterator[Any]:
    """Every recipe on every runtime; those that are like another one with `make test-deep`."""
    for name, runtime in product(RECIPES, RUNTIMES):
        deep = runtime == "executorch" and name not in ON_EXECUTORCH
        yield pytest.param(name, runtime, id=f"{name}-{runtime}", marks=(pytest.mark.deep,) if deep else ())


@pytest.mark.parametrize(("name", "runtime"), list(parameters()))
def test_three_steps_follow_eager_pytorch(name, runtime):
    torch.manual_seed(0)
    build, options = RECIPES[name]
    errors = training_errors(build(), gather(**{"input": "float32:5", "classes": 3} | options), runtime)
    assert {key for key in errors if key.endswith("loss_sum")}
    assert max(errors.values()) <= 1e-4
