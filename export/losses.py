"""Losses per example, as a training program computes them.

A loss maps logits (B, C) and labels (B,) int64 to (B,). What it is tuned by are inputs of the program, so a task may
change them; a loss that needs the device's own class shares gets them as `class_prior` (C,), which never leave the
device.

    >>> import torch
    >>> cross_entropy(torch.zeros(1, 4), torch.tensor([2]))
    tensor([1.3863])
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from fedrela.core import references
from fedrela.core.errors import InvalidInput


@dataclass(frozen=True)
class Loss:
    """`function(logits, y, **hyperparameters)`, to which `class_prior` is added if `needs_prior`."""

    name: str
    function: Callable[..., Tensor]
    hyperparameters: dict[str, float] = field(default_factory=dict)  # their defaults
    needs_prior: bool = False


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """-log softmax(logits)[y]."""
    return -_log_probability(logits, y)


def label_smoothing(logits: Tensor, y: Tensor, label_smoothing: Tensor) -> Tensor:
    """Cross-entropy against (1 - s) one-hot + s / C: Szegedy et al., CVPR 2016."""
    target = one_hot(y, logits) * (1 - label_smoothing) + label_smoothing / logits.shape[1]
    log_p = torch.log_softmax(logits, dim=1)
    # Without smoothing a class that the model rules out (a logit of -inf) counts for nothing.
    return -torch.where(target > 0, log_p * target, 0.0).sum(1)


def focal(logits: Tensor, y: Tensor, focal_gamma: Tensor) -> Tensor:
    """-(1 - p)^gamma log p with p the probability of y: Lin et al., ICCV 2017."""
    log_p = _log_probability(logits, y)
    # expm1 and the floor keep the power's derivative finite where p rounds to 1.
    miss = torch.clamp(-torch.expm1(log_p), min=1e-7)
    return -torch.exp(focal_gamma * torch.log(miss)) * log_p


def logit_adjustment(logits: Tensor, y: Tensor, class_prior: Tensor, prior_temperature: Tensor) -> Tensor:
    """Cross-entropy of logits + t log prior: Menon et al., ICLR 2021; t = 1 is balanced softmax."""
    shifted = logits + prior_temperature * torch.log(torch.clamp(class_prior, min=1e-8))
    return cross_entropy(shifted, y)


def balanced_softmax(logits: Tensor, y: Tensor, class_prior: Tensor) -> Tensor:
    """Cross-entropy of logits + log prior: Ren et al., NeurIPS 2020."""
    return cross_entropy(logits + torch.log(torch.clamp(class_prior, min=1e-8)), y)


def one_hot(y: Tensor, logits: Tensor) -> Tensor:
    """(B, C): 1 at y, else 0; without a scatter, which no runtime does fast."""
    return _is_label(y, logits).to(logits.dtype)


def _log_probability(logits: Tensor, y: Tensor) -> Tensor:
    """(B,): log softmax(logits)[y]; selected, for -inf * 0 is NaN where a model rules another class out."""
    return torch.where(_is_label(y, logits), torch.log_softmax(logits, dim=1), 0.0).sum(1)


def _is_label(y: Tensor, logits: Tensor) -> Tensor:
    """(B, C): whether a class is the example's own."""
    return y[:, None] == torch.arange(logits.shape[1], device=y.device)[None, :]


LOSSES = {
    loss.name: loss
    for loss in (
        Loss("cross-entropy", cross_entropy),
        Loss("label-smoothing", label_smoothing, {"label_smoothing": 0.1}),
        Loss("focal", focal, {"focal_gamma": 2.0}),
        Loss("balanced-softmax", balanced_softmax, needs_prior=True),
        Loss("logit-adjustment", logit_adjustment, {"prior_temperature": 1.0}, needs_prior=True),
    )
}


def find(loss: str | Loss | Callable[..., Tensor]) -> Loss:
    """A loss by name, by `module:function`, or a function of one's own: (logits, y[, class_prior], ...) -> (B,).

    Its hyperparameters are its further arguments, with their defaults. One that takes them as `**name` has an attribute
    `hyperparameters`, which maps their names to the defaults. Raises InvalidInput.
    """
    if isinstance(loss, Loss):
        return loss
    if callable(loss):
        return _own(getattr(loss, "__name__", "own"), loss)
    if loss in LOSSES:
        return LOSSES[loss]
    if ":" in loss:
        return _own(loss.rpartition(":")[2], references.load(loss))
    raise InvalidInput(
        f"there is no loss {loss!r}", remedy=f"choose {', '.join(LOSSES)}, or module:function of your own"
    )


def _own(name: str, function: Callable[..., Any]) -> Loss:
    declared: Mapping[str, float] = getattr(function, "hyperparameters", {})
    parameters = [
        parameter
        for parameter in inspect.signature(function).parameters.values()
        if not (declared and parameter.kind is parameter.VAR_KEYWORD)
    ]
    unknown = [p.name for p in parameters[2:] if p.name != "class_prior" and not isinstance(p.default, int | float)]
    if len(parameters) < 2 or unknown:
        raise InvalidInput(
            f"the loss {name!r} takes {[p.name for p in parameters]}",
            remedy="take (logits, y), optionally class_prior, and hyperparameters with a number as default",
        )
    hyperparameters = {p.name: float(p.default) for p in parameters[2:] if p.name != "class_prior"}
    return Loss(name, function, hyperparameters | dict(declared), any(p.name == "class_prior" for p in parameters[2:]))
