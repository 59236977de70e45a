"""What is not proven equal to PyTorch is refused by an export, and leaves nothing behind."""

import copy

import pytest
import torch
from torch import nn

from fedrela.core.errors import VerificationFailed
from fedrela.export import bundling, export_classifier
from fedrela.export.reporting import stages


def test_a_program_that_differs_from_pytorch_is_never_written(tmp_path, monkeypatch):
    def of_another_model(model, recipe, analysis):
        other = copy.deepcopy(model)
        other[1] = nn.Softplus(beta=20)  # close to a ReLU, which it was
        return build(other, recipe, analysis)

    build, lines = bundling.program.build, []
    monkeypatch.setattr(bundling.program, "build", of_another_model)
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2))
    with pytest.raises(VerificationFailed, match=r"(train_step|predict)\.0\.\S+ differs from eager PyTorch"):
        export_classifier(model, input="float32:4", classes=2, out=tmp_path / "bundle", report=lines.append)
    assert lines[-1] == stages.THOROUGH
    assert not any(tmp_path.iterdir())


class Logarithm(nn.Module):
    def forward(self, x):
        return torch.log(x)


class Trap(nn.Module):
    """Finite, but for its gradient: the side of `where` that isn't taken has an infinite one."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(4))

    def forward(self, x):
        return x * torch.where(self.w > -9, self.w, torch.sqrt(self.w - self.w))


@pytest.mark.parametrize("layer", [Logarithm(), Trap()], ids=["outputs", "gradients"])
def test_a_model_whose_numbers_are_not_finite_is_never_written(layer, tmp_path):
    model = nn.Sequential(layer, nn.Linear(4, 2))
    with pytest.raises(VerificationFailed, match=r"0\.\S+ is not finite, or .* in eager PyTorch or in the program"):
        export_classifier(model, input="float32:4", classes=2, out=tmp_path / "bundle")
    assert not any(tmp_path.iterdir())


def test_a_model_that_differs_from_itself_is_never_written(tmp_path):
    class Forgetful(nn.Module):
        """Its forward changes from call to call, which no graph can hold."""

        calls = 0

        def forward(self, x):
            Forgetful.calls += 1
            return x * (1 + 0.1 * (Forgetful.calls % 7))

    model = nn.Sequential(nn.Linear(4, 5), Forgetful(), nn.Linear(5, 2))
    with pytest.raises(VerificationFailed, match=r"logits differs in forward pass \d+ from what a fresh copy gives"):
        export_classifier(model, input="float32:4", classes=2, out=tmp_path / "bundle")
    assert not any(tmp_path.iterdir())
