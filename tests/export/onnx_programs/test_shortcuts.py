"""What is left out on the way to ONNX changes no program."""

from contextlib import nullcontext

import pytest
import torch
from torch import nn

from fedrela.export.onnx_programs import translation
from tests.export.lowered import bodies


def _attention() -> nn.Module:
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
    return nn.Sequential(nn.Embedding(11, 8), layer, nn.Flatten(), nn.Linear(40, 3))


def _clipped() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU6(), nn.Hardswish(), nn.Flatten(), nn.Linear(144, 3)
    )


class _Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.GRU(3, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of the last step."""
        return self.head(self.body(x)[0][:, -1])


MODELS = {
    "clips": (_clipped, "float32:1x8x8"),
    "attention": (_attention, "int64:5:11"),
    "a loop": (_Recurrent, "float32:6x3"),
    "a pool": (
        lambda: nn.Sequential(nn.MaxPool1d(3, 2, 1), nn.Flatten(), nn.LayerNorm(8), nn.Linear(8, 3)),
        "float32:2x8",
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_program_has_the_bytes_that_it_has_without_them(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    build, given = MODELS[name]
    short = bodies(build, given, 3, "onnx")
    monkeypatch.setattr(translation, "shortcuts", nullcontext)
    assert short == bodies(build, given, 3, "onnx")
