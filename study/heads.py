"""Last layers for methods that replace the classifier: FedETF and FedLoGe. May import torch; `export.heads` by name.

>>> from study.models import digits_cnn
>>> HEADS["loge"](digits_cnn()).train()(torch.rand(2, 1, 8, 8)).shape
torch.Size([2, 20])
"""

import importlib
from collections.abc import Callable

import torch
from torch import Tensor, nn


def fixed_frame(model: nn.Module) -> nn.Module:
    """FedETF's head: projected features of length 1, a fixed simplex frame, a learned temperature."""
    found: nn.Module = importlib.import_module("export.heads").with_fixed_etf(model)
    return found


class SparseFrame(nn.Module):
    """FedLoGe's generic model: the backbone learns against a fixed sparse frame, an auxiliary head learns beside it.

    Xiao et al., ICLR 2024. In training the output is (B, 2 C), the frame's logits and then those of the auxiliary head,
    which sends no gradient to the backbone. Prediction realigns: the auxiliary head's class vectors, whose lengths
    follow the class frequencies, are brought to length 1. The personal heads of that paper stay out: they never leave
    a device and do not touch the global model.
    """

    def __init__(self, model: nn.Sequential) -> None:
        super().__init__()
        *layers, last = importlib.import_module("export.heads").with_sparse_etf(model)
        self.backbone, self.frame_head = nn.Sequential(*layers), last
        classes, features = last.frame.shape
        self.auxiliary = nn.Linear(features, classes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 2 C) in training, logits (B, C) otherwise."""
        features = self.backbone(x)
        if self.training:
            return torch.cat([self.frame_head(features), self.auxiliary(features.detach())], dim=1)
        weight = self.auxiliary.weight
        unit = weight / torch.sqrt((weight * weight).sum(dim=1, keepdim=True) + 1e-12)
        found: Tensor = features @ unit.T
        return found


HEADS: dict[str, Callable[[nn.Sequential], nn.Module]] = {"etf": fixed_frame, "loge": SparseFrame}
