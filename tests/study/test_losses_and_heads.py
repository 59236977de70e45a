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
        assert not [name for name, _ in model.named_parameters() if "frame" in name]


def test_two_heads_are_two_cross_entropies():
    logits, y = torch.randn(5, 6), torch.tensor([0, 1, 2, 0, 1])
    expected = torch.nn.functional.cross_entropy(logits[:, :3], y, reduction="none")
    expected += torch.nn.functional.cross_entropy(logits[:, 3:], y, reduction="none")
    assert torch.allclose(losses.two_heads(logits, y), expected)


def test_realigned_class_vectors_have_equal_length():
    model = heads.SparseFrame(models.digits_cnn()).eval()
    x = torch.rand(4, 1, 8, 8)
    before = model(x)
    with torch.no_grad():
        model.auxiliary.weight[3] *= 100
    assert torch.allclose(model(x), before, atol=1e-4)


def test_the_auxiliary_head_sends_no_gradient_to_the_backbone():
    model = heads.SparseFrame(models.digits_cnn())
    found = model.train()(torch.rand(4, 1, 8, 8))
    assert found.shape == (4, 20)
    found[:, 10:].sum().backward()
    assert all(p.grad is None or not p.grad.any() for p in model.backbone.parameters())
    assert model.auxiliary.weight.grad is not None
    assert model.eval()(torch.rand(4, 1, 8, 8)).shape == (4, 10)
