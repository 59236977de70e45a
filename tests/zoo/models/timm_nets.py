"""timm's classifiers: its mobile families, and small forms of the larger ones."""

from functools import partial
from typing import Any

from torch import nn

from tests.zoo.entries import CLASSES, Entry


def _named(name: str, options: dict[str, Any]) -> nn.Module:
    import timm

    net: nn.Module = timm.create_model(name, pretrained=False, num_classes=CLASSES, **options)
    return net


def _of_class(module: str, name: str, options: dict[str, Any]) -> nn.Module:
    """Where `create_model` doesn't take the sizes."""
    import importlib

    net: nn.Module = getattr(importlib.import_module(f"timm.models.{module}"), name)(num_classes=CLASSES, **options)
    return net


def _narrow(name: str, module: str, size: int = 64, **options: Any) -> Entry:
    build = partial(_of_class, module, name, options)
    return Entry(f"{name}, narrow", "timm", "image", build, f"uint8:3x{size}x{size}")


def _image(name: str, size: int = 64, note: str = "", **options: Any) -> Entry:
    title = f"{name}{note}"
    return Entry(title, "timm", "image", partial(_named, name, options), f"uint8:3x{size}x{size}")


_SMALL = {"embed_dim": 48, "depth": 2, "num_heads": 2}

ENTRIES = (
    _image("resnet10t"),
    _image("mobilenetv3_small_100", 224),
    _image("efficientnet_lite0"),
    _image("vit_tiny_patch16_224", 64, ", 2 layers", img_size=64, depth=2, drop_path_rate=0.1),
    _image("mobilenetv4_conv_small"),
    _image("convnext_atto", drop_path_rate=0.1),
    _image("mobilevit_xxs"),
    _image("tinynet_e"),
    _image("lcnet_050"),
    _image("edgenext_xx_small"),
    _image("mobilevitv2_050"),
    _image("test_efficientnet_gn"),
    _image("swin_tiny_patch4_window7_224", 56, ", narrow", img_size=56, embed_dim=24, depths=(2, 2), num_heads=(2, 4)),
    _image("beit_base_patch16_224", 64, ", narrow", img_size=64, drop_path_rate=0.1, **_SMALL),
    _image("eva02_tiny_patch14_224", 56, ", narrow", img_size=56, **_SMALL),
    _narrow("MlpMixer", "mlp_mixer", img_size=64, patch_size=16, num_blocks=2, embed_dim=64),
    _narrow("MetaFormer", "metaformer", depths=(1, 1, 1, 1), dims=(16, 32, 64, 64), use_mlp_head=False),
    _image("test_nfnet"),
    _image("test_mambaout"),
    _narrow("ConvMixer", "convmixer", dim=48, depth=3, kernel_size=7, patch_size=7),
    _image("starnet_s1", 64, ", narrow", depths=(1, 1, 2, 1)),
    _image(
        "tiny_vit_5m_224",
        64,
        ", narrow",
        depths=(1, 1, 1, 1),
        embed_dims=(16, 32, 64, 64),
        num_heads=(1, 2, 4, 4),
    ),
)
