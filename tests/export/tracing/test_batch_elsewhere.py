"""Models whose examples are not the first dimension within, as of torch's own recurrent nets and transformers."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedrela.core.errors import UnsupportedOperation
from fedrela.export import export_classifier
from fedrela.export.inputs import parse
from fedrela.export.program import build
from fedrela.export.recipe import Recipe
from fedrela.export.tracing.model_analysis import analyze

RECIPE = Recipe((parse("float32:4x2"),), 3)  # four places of two numbers
NOBODY = "11" * 32


class PlacesFirst(nn.Module):
    """A layer between two transpositions."""

    def __init__(self, within: nn.Module) -> None:
        super().__init__()
        self.first, self.within, self.last = nn.Linear(2, 4), within, nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, 4, 2), of which `within` takes (4, B, 4)."""
        logits: Tensor = self.last(self.within(self.first(x.transpose(0, 1))).sum(0))
        return logits


class Standardized(nn.Linear):
    """Its weights are normalized by a batch normalization whose batch is one: no example is in it."""

    def forward(self, x: Tensor) -> Tensor:
        """x (B, features)."""
        weight = F.batch_norm(self.weight[None], None, None, training=True)[0]
        return F.linear(x, weight, self.bias)


def loss_of(model: nn.Module, **fed: Tensor) -> float:
    """The summed loss of the first step, of three examples that are all ones, the last of which doesn't count."""
    step = build(model, RECIPE)["train_step"]
    given = dict(model.named_parameters()) | fed | {"x": torch.ones(3, 4, 2), "y": torch.arange(3)}
    given |= {"sample_weight": torch.tensor([1.0, 1.0, 0.0]), "lr": torch.tensor(0.1)}
    values = [given.get(item.name, torch.zeros([d for d in item.shape if d != "B"])) for item in step.inputs]  # type: ignore[misc]
    return float(dict(zip(step.outputs, step.function(*values), strict=True))["loss_sum"])


def test_an_example_gets_its_own_random_numbers_wherever_the_batch_is() -> None:
    torch.manual_seed(0)
    model = PlacesFirst(nn.Dropout(0.5))
    assert analyze(model, RECIPE).random_shapes() == {"dropout.0": ("B", 4, 4)}
    keep = torch.ones(3, 4, 4)
    keep[1, 2] = 0.0  # the third place of the second example is dropped
    inner = model.first(torch.ones(3, 4, 2)) * keep * 2
    expected = F.cross_entropy(model.last(inner.sum(1)), torch.arange(3), reduction="none")[:2].sum()
    found = loss_of(model, **{"dropout.0": torch.where(keep > 0, 0.9, 0.2)})
    assert found == pytest.approx(float(expected.detach()), rel=1e-6)


def test_weights_that_a_model_normalizes_count_alike_whatever_the_examples_count() -> None:
    torch.manual_seed(0)
    layer = Standardized(8, 3)
    weight = layer.weight
    standard = (weight - weight.mean(1, keepdim=True)) / torch.sqrt(weight.var(1, False, keepdim=True) + 1e-5)
    logits = torch.ones(3, 8) @ standard.T + layer.bias
    expected = F.cross_entropy(logits, torch.arange(3), reduction="none")[:2].sum()
    assert loss_of(nn.Sequential(nn.Flatten(), layer)) == pytest.approx(float(expected.detach()), rel=1e-5)


def test_they_are_exported(tmp_path: Path) -> None:
    torch.manual_seed(0)
    within = nn.Sequential(nn.TransformerEncoderLayer(4, 2, 8, dropout=0.2), Standardized(4, 4))
    exported = export_classifier(
        PlacesFirst(within), input="float32:4x2", classes=3, out=tmp_path / "b", private_key=NOBODY
    )
    assert exported.largest_error < 1e-4


def test_a_norm_over_the_batch_that_is_not_first_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedOperation, match=r"first dimension is not the batch.*bring the batch to the"):
        export_classifier(
            PlacesFirst(Swapped()), input="float32:4x2", classes=3, out=tmp_path / "b", private_key=NOBODY
        )


def test_draws_for_pairs_of_examples_are_refused_in_a_sentence() -> None:
    with pytest.raises(UnsupportedOperation, match=r"shape \(5, 5\) for 5 examples and \(7, 7\) for 7"):
        analyze(nn.Sequential(nn.Flatten(), nn.Linear(8, 3), Pairs()), RECIPE)


class Swapped(nn.Module):
    """Normalizes each example over its places."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x: Tensor) -> Tensor:
        """x (4, B, 4) -> the same; the norm sees (4, 4, B)."""
        normal: Tensor = self.norm(x.transpose(1, 2)).transpose(1, 2)
        return normal


class Pairs(nn.Module):
    """Mixes examples by a mask that is dropped out."""

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C)."""
        return F.dropout(x @ x.T, 0.5, self.training) @ x
