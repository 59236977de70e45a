"""MONAI's classifiers, in two and three dimensions, and kornia's vision transformers."""

from functools import partial

from torch import nn

from tests.zoo.entries import CLASSES, Called, Entry, Headed

_SLICE, _VOLUME = "float32:1x32x32", "float32:1x16x16x16"


def _densenet(dimensions: int) -> nn.Module:
    from monai.networks.nets import DenseNet

    options = {"init_features": 8, "growth_rate": 4, "block_config": (2, 2, 2), "dropout_prob": 0.1}
    return DenseNet(spatial_dims=dimensions, in_channels=1, out_channels=CLASSES, **options)


def _resnet(dimensions: int) -> nn.Module:
    from monai.networks.nets import ResNet

    return ResNet(
        "basic", [1, 1, 1, 1], [8, 16, 32, 64], spatial_dims=dimensions, n_input_channels=1, conv1_t_size=3,
        num_classes=CLASSES,
    )  # fmt: skip


def _efficientnet() -> nn.Module:
    from monai.networks.nets import EfficientNetBN

    return EfficientNetBN("efficientnet-b0", pretrained=False, spatial_dims=2, in_channels=1, num_classes=CLASSES)


def _monai_vit() -> nn.Module:
    from monai.networks.nets import ViT

    body = ViT(
        1, 32, 8, hidden_size=32, mlp_dim=64, num_layers=2, num_heads=2, classification=True, num_classes=CLASSES,
        spatial_dims=2, post_activation="", dropout_rate=0.1,
    )  # fmt: skip
    return Called(body, lambda net, x: net(x)[0])


def _kornia_vit() -> nn.Module:
    from kornia.models.vit import VisionTransformer

    return Headed(VisionTransformer(image_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=2), 32)


def _kornia_mobilevit() -> nn.Module:
    from kornia.models.vit_mobile import MobileViT

    return Headed(MobileViT(mode="xxs", patch_size=(2, 2)), 320, lambda maps: maps.flatten(2).transpose(1, 2))


ENTRIES = (
    Entry("DenseNet", "monai", "image", partial(_densenet, 2), _SLICE),
    Entry("VisionTransformer", "kornia", "image", _kornia_vit, "uint8:3x32x32"),
    Entry("ResNet, volumes", "monai", "image", partial(_resnet, 3), _VOLUME),
    Entry("ViT", "monai", "image", _monai_vit, _SLICE),
    Entry("EfficientNetBN", "monai", "image", _efficientnet, _SLICE),
    Entry("MobileViT", "kornia", "image", _kornia_mobilevit, "uint8:3x256x256"),
    Entry("DenseNet, volumes", "monai", "image", partial(_densenet, 3), _VOLUME),
)
