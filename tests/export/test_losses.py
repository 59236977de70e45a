"""Losses against torch's own and against their papers' formulas worked by hand."""

import math
from types import MappingProxyType

import pytest
import torch
import torch.nn.functional as F

from fedrela.core.errors import InvalidInput
from fedrela.export import losses

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 0.0, 0.0], [-30.0, 40.0, 1.0]])
Y = torch.tensor([0, 2, 1])


def test_cross_entropy_is_torchs():
    assert torch.allclose(losses.cross_entropy(LOGITS, Y), F.cross_entropy(LOGITS, Y, reduction="none"))


def test_label_smoothing_is_torchs():
    ours = losses.label_smoothing(LOGITS, Y, torch.tensor(0.2))
    assert torch.allclose(ours, F.cross_entropy(LOGITS, Y, reduction="none", label_smoothing=0.2))


@pytest.mark.parametrize("smoothing", [None, 0.0, 0.2])
def test_a_class_that_the_model_rules_out_gives_torchs_loss_and_gradient(smoothing):
    """A logit of -inf: of another class, and of the example's own."""
    ours, theirs = (LOGITS.clone() for _ in range(2))
    for logits in (ours, theirs):
        logits[0, 1] = logits[1, 2] = -torch.inf
        logits.requires_grad_()
    if smoothing is None:
        found = losses.cross_entropy(ours, Y)
    else:
        found = losses.label_smoothing(ours, Y, torch.tensor(smoothing))
    expected = F.cross_entropy(theirs, Y, reduction="none", label_smoothing=smoothing or 0.0)
    torch.testing.assert_close(found, expected)
    found.sum().backward()
    expected.sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, equal_nan=True)


def test_focal_of_a_class_that_the_model_rules_out_is_that_of_the_others():
    ruled_out = torch.tensor([[2.0, -torch.inf, 0.5]], requires_grad=True)
    found = losses.focal(ruled_out, Y[:1], torch.tensor(2.0))
    torch.testing.assert_close(found, losses.focal(ruled_out[:, [0, 2]], Y[:1], torch.tensor(2.0)))
    found.sum().backward()
    assert torch.isfinite(ruled_out.grad).all()


def test_focal_by_hand():
    p = torch.softmax(LOGITS, 1)[torch.arange(3), Y]
    assert torch.allclose(losses.focal(LOGITS, Y, torch.tensor(2.0)), -((1 - p) ** 2) * torch.log(p), atol=1e-6)


def test_focal_without_focus_is_cross_entropy():
    assert torch.allclose(losses.focal(LOGITS, Y, torch.tensor(0.0)), losses.cross_entropy(LOGITS, Y), atol=1e-6)


def test_focal_gradient_is_finite_where_the_model_is_certain():
    logits = torch.tensor([[100.0, -100.0]], requires_grad=True)
    losses.focal(logits, torch.tensor([0]), torch.tensor(0.5)).sum().backward()
    assert torch.isfinite(logits.grad).all()


def test_balanced_softmax_by_hand():
    prior = torch.tensor([0.7, 0.2, 0.1])
    z = torch.tensor([[1.0, 2.0, 3.0]])
    expected = -math.log(0.1 * math.e**3 / (0.7 * math.e + 0.2 * math.e**2 + 0.1 * math.e**3))
    assert losses.balanced_softmax(z, torch.tensor([2]), prior).item() == pytest.approx(expected, rel=1e-6)


def test_logit_adjustment_at_temperature_one_is_balanced_softmax():
    prior = torch.tensor([0.7, 0.3, 0.0])
    one = losses.logit_adjustment(LOGITS, Y, prior, torch.tensor(1.0))
    assert torch.allclose(one, losses.balanced_softmax(LOGITS, Y, prior))
    assert torch.isfinite(one).all(), "a class that is absent here must not make the loss infinite"


def test_own_loss_with_hyperparameters_and_prior():
    def own(logits, y, class_prior, sharpness=2.0):
        return losses.cross_entropy(sharpness * logits, y)

    found = losses.find(own)
    assert (found.name, found.hyperparameters, found.needs_prior) == ("own", {"sharpness": 2.0}, True)


def test_own_loss_that_names_its_hyperparameters():
    class Counted:
        hyperparameters = MappingProxyType({"count_0": 1.0, "count_1": 2.0})

        def __call__(self, logits, y, **counts):
            return losses.cross_entropy(logits + torch.log(torch.stack(list(counts.values()))), y)

    found = losses.find(Counted())
    assert (found.hyperparameters, found.needs_prior) == ({"count_0": 1.0, "count_1": 2.0}, False)


@pytest.mark.parametrize("bad", ["hinge", "no.such.module:loss", "fedrela.export.losses:nothing"])
def test_unknown_losses_are_refused(bad):
    with pytest.raises(InvalidInput):
        losses.find(bad)


def test_a_loss_with_an_unknown_argument_is_refused():
    with pytest.raises(InvalidInput, match="takes"):
        losses.find(lambda logits, y, teacher: logits.sum(1))
