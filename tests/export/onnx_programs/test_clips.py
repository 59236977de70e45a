"""A value that is clipped twice at several places keeps every bound: onnxscript's rules lose some of them."""

import torch
from torch import nn

from fedrela.export.inputs import parse
from fedrela.export.recipe import Recipe
from fedrela.export.verification.comparison import training_errors
from fedrela.export.verification.equality import TOLERANCE


class ClippedOften(nn.Module):
    """A learned share that is clipped wherever it is read, as leaky neurons do with their decay."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.share, self.last = nn.Parameter(torch.rand(4) * 2 - 0.5), nn.Linear(4, 3)

    def forward(self, x):
        h = x * self.share.clamp(0, 1)
        for _ in range(3):
            h = self.share.clamp(0, 1).clamp(0.1, 0.9) * h + x
        return self.last(h) + self.last(torch.relu(self.share).clamp(0.2, 0.6) * x)


def test_every_bound_is_kept():
    errors = training_errors(ClippedOften(), Recipe((parse("float32:4"),), 3), "onnx")
    assert max(errors.values()) <= TOLERANCE
