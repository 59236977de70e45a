"""Last layers for methods that replace the classifier: FedETF and FedLoGe. May import torch.

>>> frame = simplex_frame(64, 10, seed=0)
>>> cosines = frame.T @ frame
>>> bool(torch.allclose(cosines[~torch.eye(10, dtype=bool)], torch.tensor(-1 / 9), atol=1e-5))
True
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn


def simplex_frame(features: int, classes: int, seed: int) -> Tensor:
    """(features, classes): unit columns with equal angles, all cosines -1 / (classes - 1). Papyan et al., PNAS 2020."""
    draw = torch.Generator().manual_seed(seed)
    basis, _ = torch.linalg.qr(torch.randn(features, classes, generator=draw))
    centred = torch.eye(classes) - torch.full((classes, classes), 1 / classes)
    return math.sqrt(classes / (classes - 1)) * basis @ centred


class FixedFrame(nn.Module):
    """FedETF: projected features of length 1 against a fixed simplex frame, times a learned temperature.

    Li et al., "No Fear of Classifier Biases", ICCV 2023. Trained with balanced softmax on local class shares.
    """

    def __init__(self, model: nn.Sequential) -> None:
        super().__init__()
        self.backbone, last = _split(model)
        self.projection = nn.Linear(last.in_features, last.in_features)
        self.temperature = nn.Parameter(torch.ones(1))
        self.register_buffer("frame", simplex_frame(last.in_features, last.out_features, seed=0))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, C)."""
        found: Tensor = self.temperature * (_unit(self.projection(self.backbone(x))) @ self.frame)
        return found


class SparseFrame(nn.Module):
    """FedLoGe's generic model: the backbone learns against a fixed sparse frame, an auxiliary head learns beside it.

    Xiao et al., ICLR 2024. In training the output is (B, 2 C), the frame's logits and then those of the auxiliary head,
    which sends no gradient to the backbone. Prediction realigns: the auxiliary head's class vectors, whose lengths
    follow the class frequencies, are brought to length 1. The personal heads of that paper stay out: they never leave
    a device and do not touch the global model.
    """

    sparsity = 0.6

    def __init__(self, model: nn.Sequential) -> None:
        super().__init__()
        self.backbone, last = _split(model)
        self.auxiliary = nn.Linear(last.in_features, last.out_features, bias=False)
        frame = simplex_frame(last.in_features, last.out_features, seed=0)
        kept = torch.rand(frame.shape, generator=torch.Generator().manual_seed(1)) >= self.sparsity
        sparse = frame * kept
        self.register_buffer("frame", sparse / sparse.norm(dim=0, keepdim=True))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 2 C) in training, logits (B, C) otherwise."""
        features = self.backbone(x)
        if self.training:
            return torch.cat([features @ self.frame, self.auxiliary(features.detach())], dim=1)
        found: Tensor = features @ _unit(self.auxiliary.weight).T
        return found


HEADS: dict[str, Callable[[nn.Module], nn.Module]] = {"etf": FixedFrame, "loge": SparseFrame}


def _split(model: nn.Sequential) -> tuple[nn.Sequential, nn.Linear]:
    *layers, last = model
    if not isinstance(last, nn.Linear):
        raise TypeError("the model does not end in a linear layer")
    return nn.Sequential(*layers), last


def _unit(x: Tensor) -> Tensor:
    """Rows of length 1."""
    return x / torch.sqrt((x * x).sum(dim=1, keepdim=True) + 1e-12)
