"""Last layers for methods that replace the classifier: FedETF and FedLoGe.

Written from the papers' equations; where a paper leaves a choice, the authors' public code was read and the choice is
named below.

>>> from fedrela.study.models import digits_cnn
>>> HEADS["fedloge"](digits_cnn()).train()(torch.rand(2, 1, 8, 8)).shape
torch.Size([2, 20])
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from fedrela.export.heads import simplex_frame, with_fixed_etf

SPARSITY = 0.6  # the share of zeros in FedLoGe's frame: that of its experiments
_STEPS = 100


def fixed_frame(model: nn.Module) -> nn.Module:
    """FedETF's head: projected features of length 1, a fixed simplex frame, a learned temperature.

    Li et al., ICCV 2023: logits beta v_c . mu with mu = g(h) / |g(h)|, trained by the balanced loss
    -log(n_y exp(beta v_y . mu) / sum_c n_c exp(beta v_c . mu)) with local counts n (gamma = 1). A class that is absent
    here has n = 0, as in the paper; the authors' code counts it as one sample. The projection keeps the features' size,
    and beta starts at 16, not at 1 as in that code, which trains for 200 rounds.
    """
    return with_fixed_etf(model)


def sparse_frame(features: int, classes: int, *, sparsity: float = SPARSITY, seed: int = 0) -> Tensor:
    """(classes, features): unit rows with a share `sparsity` of zeros, at angles as equal and as wide as can be.

    Xiao et al., ICLR 2024: a simplex frame loses entries at random; the others are then trained until all rows are of
    one length and the smallest angle is widest. No set of rows has all its cosines below -1 / (classes - 1), so here
    the squared distances from that cosine are minimized, with the rows on the unit sphere throughout. The zeros are
    spread evenly over the rows. (The authors' code has rows of length 0.1, for features of a much wider network.)
    """
    frame = simplex_frame(features, classes, seed).to(torch.float64)
    ranks = torch.rand(frame.shape, generator=torch.Generator().manual_seed(seed + 1)).argsort(1).argsort(1)
    mask = (ranks >= math.floor(sparsity * features)).to(torch.float64)
    entries = (frame * mask).contiguous().requires_grad_()
    others, target = ~torch.eye(classes, dtype=torch.bool), -1 / (classes - 1)
    optimizer = torch.optim.LBFGS(
        [entries], max_iter=_STEPS, tolerance_grad=1e-12, tolerance_change=1e-12, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        rows = _unit(entries * mask)
        spread = ((rows @ rows.T)[others] - target).square().sum()
        spread.backward()  # type: ignore[no-untyped-call]
        return spread

    with torch.enable_grad():
        optimizer.step(loss)  # type: ignore[no-untyped-call]
    return _unit(entries * mask).detach().to(torch.float32)


class SparseFrame(nn.Module):
    """FedLoGe's generic model: the backbone learns against a fixed sparse frame, an auxiliary head learns beside it.

    Xiao et al., ICLR 2024. In training the output is (B, 2 C), the frame's logits and then those of the auxiliary head,
    which sends no gradient to the backbone. Prediction realigns, for all classes: the auxiliary head's vectors psi_c,
    whose lengths follow the class frequencies, become psi_c / |psi_c|. (The authors' code multiplies all of them by 1.7
    then, which changes no prediction, and its head has a bias, which the paper's equations have not.) The personal
    heads of that paper stay out: they never leave a device and do not touch the generic model.
    """

    frame: Tensor

    def __init__(self, model: nn.Sequential) -> None:
        super().__init__()
        *layers, last = model
        assert isinstance(last, nn.Linear)
        self.backbone = nn.Sequential(*layers)
        self.auxiliary = nn.Linear(last.in_features, last.out_features, bias=False)
        self.register_buffer("frame", sparse_frame(last.in_features, last.out_features))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 2 C) in training, logits (B, C) otherwise."""
        features = self.backbone(x)
        if self.training:
            return torch.cat([features @ self.frame.T, self.auxiliary(features.detach())], dim=1)
        logits: Tensor = features @ _unit(self.auxiliary.weight).T
        return logits


def _unit(rows: Tensor) -> Tensor:
    return rows / torch.sqrt((rows * rows).sum(dim=1, keepdim=True) + 1e-12)


HEADS: dict[str, Callable[[nn.Sequential], nn.Module]] = {"etf": fixed_frame, "fedloge": SparseFrame}
