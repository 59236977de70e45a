"""The oracle's loss and the fixed frames against their definitions."""

import math

import pytest

torch = pytest.importorskip("torch")

from fedrela.export.heads import simplex_frame  # noqa: E402
from fedrela.export.losses import balanced_softmax  # noqa: E402
from fedrela.study import heads, losses, models  # noqa: E402


def test_the_known_prior_is_cross_entropy_of_shifted_logits():
    logits, y = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1])
    counts = {f"count_{label}": torch.tensor(value) for label, value in enumerate([50.0, 5.0, 1.0])}
    loss = losses.KnownPrior(3)(logits, y, **counts)
    weighted = torch.exp(logits) * torch.tensor([50.0, 5.0, 1.0])
    expected = -torch.log(weighted[torch.arange(5), y] / weighted.sum(1))
    assert torch.allclose(loss, expected, atol=1e-5)


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


def test_fedetf_by_hand():
    model = heads.fixed_frame(torch.nn.Sequential(torch.nn.Linear(2, 2)))
    (head,) = model
    with torch.no_grad():
        head.projection.weight.copy_(torch.eye(2))
        head.projection.bias.zero_()
        head.temperature.fill_(3.0)
        head.frame.copy_(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
    logits = model(torch.tensor([[3.0, 4.0]]))  # of length 5: mu = (0.6, 0.8); times 3 against (1, 0) and (-1, 0)
    assert torch.allclose(logits, torch.tensor([[1.8, -1.8]]))
    rare = balanced_softmax(logits, torch.tensor([1]), torch.tensor([0.9, 0.1]))
    assert rare.item() == pytest.approx(-math.log(0.1 * math.exp(-1.8) / (0.9 * math.exp(1.8) + 0.1 * math.exp(-1.8))))
    lone = balanced_softmax(logits, torch.tensor([0]), torch.tensor([1.0, 0.0]))
    assert lone.item() == pytest.approx(0, abs=1e-6)  # a class that is absent here does not compete


@pytest.mark.parametrize(("features", "classes"), [(128, 10), (64, 10)])
def test_a_sparse_frame_has_unit_rows_its_zeros_and_equal_angles(features, classes):
    frame = heads.sparse_frame(features, classes, sparsity=0.6, seed=3)
    assert ((frame == 0).sum(1) == math.floor(0.6 * features)).all()
    gram = frame @ frame.T
    expected = torch.full((classes, classes), -1 / (classes - 1)).fill_diagonal_(1.0)
    assert torch.allclose(gram, expected, atol=1e-4)
    assert torch.equal(frame, heads.sparse_frame(features, classes, sparsity=0.6, seed=3))


def test_a_sparse_frame_without_zeros_is_the_simplex_frame():
    assert torch.allclose(heads.sparse_frame(6, 4, sparsity=0, seed=0), simplex_frame(6, 4, 0), atol=1e-6)


def test_two_sparse_rows_end_opposite_on_what_both_have():
    frame = heads.sparse_frame(5, 2, sparsity=0.4, seed=0)  # three entries each of five: at least one in common
    both = (frame[0] != 0) & (frame[1] != 0)
    assert both.any()
    assert torch.allclose(frame[0], -frame[1], atol=1e-2)
    assert (frame[0] @ frame[1]).item() == pytest.approx(-1, abs=1e-4)


def test_realignment_by_hand():
    model = heads.SparseFrame(torch.nn.Sequential(torch.nn.Identity(), torch.nn.Linear(2, 2))).eval()
    with torch.no_grad():
        model.auxiliary.weight.copy_(torch.tensor([[30.0, 40.0], [1.0, 0.0]]))  # a head class and a tail class
    x = torch.tensor([[1.0, 0.5]])
    assert (model.auxiliary(x)).argmax().item() == 0  # 50 against 1: the long vector wins
    assert torch.allclose(model(x), torch.tensor([[1.0, 1.0]]))  # (3 + 4 / 2) / 5 against 1
    assert model(torch.tensor([[1.0, 0.4]])).argmax().item() == 1  # 0.92 against 1


def test_realigned_class_vectors_have_equal_length():
    model = heads.SparseFrame(models.digits_cnn()).eval()
    x = torch.rand(4, 1, 8, 8)
    before = model(x)
    with torch.no_grad():
        model.auxiliary.weight[3] *= 100
    assert torch.allclose(model(x), before, atol=1e-4)


def test_the_auxiliary_head_sends_no_gradient_to_the_backbone():
    model = heads.SparseFrame(models.digits_cnn())
    logits = model.train()(torch.rand(4, 1, 8, 8))
    assert logits.shape == (4, 20)
    logits[:, 10:].sum().backward()
    assert all(p.grad is None or not p.grad.any() for p in model.backbone.parameters())
    assert model.auxiliary.weight.grad is not None
    assert model.eval()(torch.rand(4, 1, 8, 8)).shape == (4, 10)
