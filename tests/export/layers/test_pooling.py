"""Adaptive pooling to one element where channels lie last, as they do behind a permute."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedrela.export.classifier import gather
from fedrela.export.layers import pooling
from fedrela.export.verification.comparison import training_errors


class ChannelsLast(nn.Module):
    """A ConvNeXt's last layers."""

    def __init__(self) -> None:
        super().__init__()
        self.mixed, self.head = nn.Linear(3, 5), nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        features = self.mixed(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.head(F.adaptive_avg_pool2d(features, 1).flatten(1))


def test_a_mean_is_taken_however_its_elements_lie() -> None:
    x = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    for lying in (x, x.contiguous(memory_format=torch.channels_last)):
        torch.testing.assert_close(pooling.adaptive_avg_pool2d(lying, 1), F.adaptive_avg_pool2d(x, 1))


def test_it_is_trained_as_eager_pytorch_does() -> None:
    recipe = gather(input="float32:3x4x4", classes=4)
    errors = training_errors(ChannelsLast(), recipe, "onnx", programs=("train_step", "predict"))
    assert max(errors.values()) <= 1e-4
