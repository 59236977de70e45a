"""The reference classifiers: parameters counted by hand, layer by layer, and the shapes of their logits."""

import pytest
import torch

from fedrela.export import models


def image(size, channels=3):
    """Two images of noise."""
    return torch.rand(2, channels, size, size)


COUNTED = {  # each sum goes from the input to the head
    "build": 160 + 4640 + (128 * 128 + 128) + (128 * 10 + 10),
    "cifar_cnn": 448 + 4640 + 18496 + (1024 * 128 + 128) + 1290,
    "resnet8": (432 + 32) + (2 * 2304 + 64) + (4608 + 9216 + 128 + 512 + 64) + (18432 + 36864 + 256 + 2048 + 128) + 650,
    "mobilenet": 464 + (3440 + 5904) + (6688 + 9920) + (14080 + 36224) + 650,
    "small_vit": 3136 + 64 * 64 + 4 * (12480 + 4160 + 8320 + 8256 + 256) + 128 + 650,
    "lstm": 1000 * 32 + 4 * 32 * (32 + 32 + 2) + 132,
    "tabular_mlp": 1344 + 128 + 4160 + 325,
    "resnet18": 11_173_962,  # the figure published for the 32x32 form with ten classes
}
INPUTS = {
    "build": image(8, 1),
    "lstm": torch.randint(1000, (2, 20)),
    "tabular_mlp": torch.rand(2, 20),
}
SHAPES = {"lstm": (2, 4), "tabular_mlp": (2, 5)}


@pytest.mark.parametrize("name", COUNTED)
def test_parameters_and_logits(name):
    model = getattr(models, name)()
    assert sum(p.numel() for p in model.parameters()) == COUNTED[name]
    x = INPUTS.get(name, image(32))
    with torch.no_grad():
        assert model(x).shape == SHAPES.get(name, (2, 10))


def test_the_kind_of_norm_changes_the_buffers_and_no_parameter():
    group, batch = models.resnet8(), models.resnet8_batch_norm()
    shapes = [{name: p.shape for name, p in model.named_parameters()} for model in (group, batch)]
    assert shapes[0] == shapes[1]
    assert not list(group.buffers())
    assert len(list(batch.buffers())) == 3 * 9  # stem, two in each of three blocks, two shortcuts


def test_a_block_with_zero_convolutions_is_its_shortcut():
    block = models.BasicBlock(4, 4, 1, "group")
    torch.nn.init.zeros_(block.conv2.weight)
    x = torch.randn(2, 4, 6, 6)
    assert torch.equal(block(x), torch.relu(x))


@pytest.mark.parametrize(("outputs", "stride", "residual"), [(4, 1, True), (4, 2, False), (6, 1, False)])
def test_an_inverted_residual_adds_its_input_only_where_shapes_agree(outputs, stride, residual):
    block = models.InvertedResidual(4, outputs, stride, 2).eval()
    torch.nn.init.zeros_(block.body[6].weight)
    x = torch.randn(2, 4, 6, 6)
    expected = x if residual else torch.zeros(2, outputs, 6 // stride, 6 // stride)
    assert torch.equal(block(x), expected)


def test_examples_of_a_batch_dont_depend_on_each_other_in_evaluation():
    for name in ("mobilenet", "small_vit", "resnet8_batch_norm"):
        model, x = getattr(models, name)().eval(), image(32)
        with torch.no_grad():
            assert torch.allclose(model(x)[1:], model(x[1:]), atol=1e-5), name


def test_sizes_are_arguments():
    assert models.small_cnn(2, 12, 3, (4, 6), 5)(torch.rand(1, 2, 12, 12)).shape == (1, 3)
    assert models.small_vit(1, 8, 3, 4, 8, 1, 2, 0.0).position.shape == (1, 4, 8)
    assert models.lstm(7, 3, 4, 2)(torch.tensor([[6]])).shape == (1, 3)
