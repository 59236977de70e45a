"""What is left out on the way to a .pte file changes no file."""

from contextlib import nullcontext

import pytest
import torch
from torch import nn

from fedrela.export.executorch_programs import shortcuts
from tests.export.lowered import bodies


class _Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.LSTM(3, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of the last step."""
        return self.head(self.body(x)[0][:, -1])


MODELS = {
    "an image": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU6(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 3)
        ),
        "float32:1x8x8",
    ),
    "a loop": (_Recurrent, "float32:6x3"),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_file_has_the_bytes_that_it_has_without_them(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    build, given = MODELS[name]
    short = bodies(build, given, 3, "executorch")
    monkeypatch.setattr(shortcuts, "shortcuts", nullcontext)
    assert short == bodies(build, given, 3, "executorch")
