"""The oracle's loss and the fixed frames against their definitions."""

import pytest

torch = pytest.importorskip("torch")

from study import heads, losses, models  # noqa: E402


def test_the_known_prior_is_cross_entropy_of_shifted_logits():
    logits, y = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1])
    counts = {f"count_{label}": torch.tensor(value) for label, value in enumerate([50.0, 5.0, 1.0])}
    found = losses.known_prior_3(logits, y, **counts)
    weighted = torch.exp(logits) * torch.tensor([50.0, 5.0, 1.0])
    expected = -torch.log(weighted[torch.arange(5), y] / weighted.sum(1))
    assert torch.allclose(found, expected, atol=1e-5)


def test_an_unknown_loss_is_an_attribute_error():
    with pytest.raises(AttributeError):
        losses.nonsense  # noqa: B018


def test_every_head_gives_logits_and_the_frame_is_not_trained():
    for name in ("digits_cnn_etf", "cifar_cnn_etf", "cifar_resnet8_etf"):
        model = getattr(models, name)()
        shape = (2, 1, 8, 8) if name.startswith("digits") else (2, 3, 32, 32)
        assert model(torch.rand(shape)).shape == (2, 10)
        assert "frame" not in dict(model.named_parameters())


def test_fedetf_logits_are_cosines_times_temperature():
    model = models.digits_cnn_etf()
    with torch.no_grad():
        model.temperature.fill_(3.0)
        logits = model(torch.rand(4, 1, 8, 8))
    assert logits.abs().max() <= 3.0 + 1e-5


def test_the_auxiliary_head_sends_no_gradient_to_the_backbone():
    model = heads.SparseFrame(models.digits_cnn())
    found = model.train()(torch.rand(4, 1, 8, 8))
    assert found.shape == (4, 20)
    found[:, 10:].sum().backward()
    assert all(parameter.grad is None for parameter in model.backbone.parameters())
    assert model.auxiliary.weight.grad is not None
    assert model.eval()(torch.rand(4, 1, 8, 8)).shape == (4, 10)
