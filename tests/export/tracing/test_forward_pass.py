"""A forward pass while it is traced: the batch's size stays open, however the model asks for it."""

import pytest
import torch
from torch import Tensor, nn

from fedrela.core.errors import UnsupportedOperation
from fedrela.export.classifier import gather
from fedrela.export.tracing.forward_pass import forward_pass
from fedrela.export.verification.comparison import training_errors


class Reshaped(nn.Module):
    """As attention over features does it: `len` for a reshape, and of what is no tensor as well."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList([nn.Linear(3, 4), nn.Linear(3, 4)])

    def forward(self, x: Tensor) -> Tensor:
        halves = x.reshape(len(x), len(self.parts), 3)
        return torch.stack([part(halves[:, place]) for place, part in enumerate(self.parts)]).sum(0)


class Branching(Reshaped):
    """For more than three examples it computes something else."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if len(x) > 3 else super().forward(-x)


def test_a_length_is_the_batch_s_size_and_not_the_example_s() -> None:
    errors = training_errors(
        Reshaped(), gather(input="float32:6", classes=4), "onnx", programs=("train_step", "predict")
    )
    assert max(errors.values()) <= 1e-4
    assert "len" not in globals()


def test_a_branch_on_a_length_is_refused() -> None:
    with pytest.raises(UnsupportedOperation, match="computes something else for a batch of 2"):
        training_errors(Branching(), gather(input="float32:6", classes=4), "onnx")


class AtOneSize(nn.Module):
    """Something else for batches of one size, or of its multiples."""

    def __init__(self, size: int, modulus: int = 10_000) -> None:
        super().__init__()
        self.layer, self.size, self.modulus = nn.Linear(6, 4), size, modulus

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x)
        return 2 * y if len(x) % self.modulus == self.size else y


@pytest.mark.parametrize(
    ("size", "modulus", "found"), [(20, 10_000, 20), (777, 10_000, 777), (0, 19, 19), (18, 97, 18)]
)
def test_a_branch_at_any_size_that_anybody_trains_with_is_refused(size: int, modulus: int, found: int) -> None:
    with pytest.raises(UnsupportedOperation, match=f"something else for a batch of {found}:"):
        training_errors(AtOneSize(size, modulus), gather(input="float32:6", classes=4), "onnx")


def test_a_class_of_no_module_is_traced_all_the_same() -> None:
    model = type("Nowhere", (Reshaped,), {"__module__": "typed.in.a.shell"})()
    with forward_pass(model):
        assert model(torch.ones(2, 6)).shape == (2, 4)


def test_a_module_s_own_name_stays_its_own() -> None:
    model = Reshaped()
    globals()["len"] = own = lambda value: 7
    try:
        with forward_pass(model):
            assert globals()["len"] is own
        assert globals()["len"] is own
    finally:
        del globals()["len"]
