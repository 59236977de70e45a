"""vit-pytorch, x-transformers, and the small packages of single ideas about attention."""

import importlib
from functools import partial
from typing import Any

from torch import nn

from tests.zoo.entries import CLASSES, Called, Entry, Headed

_WORDS, _LENGTH = 200, 16
_TEXT, _IMAGE = f"int64:{_LENGTH}:{_WORDS}", "uint8:3x32x32"


def _built(module: str, name: str, options: dict[str, Any]) -> nn.Module:
    net: nn.Module = getattr(importlib.import_module(module), name)(**options)
    return net


def _vit(name: str, module: str = "vit", size: int = 32, **options: Any) -> Entry:
    build = partial(_built, f"vit_pytorch.{module}", name, {"num_classes": CLASSES} | options)
    return Entry(name, "vit-pytorch", "image", build, f"uint8:3x{size}x{size}")


_SMALL: dict[str, Any] = {"image_size": 32, "patch_size": 8, "dim": 32, "depth": 2, "heads": 2, "mlp_dim": 64}
_DROPPED = _SMALL | {"dropout": 0.1, "emb_dropout": 0.1}


def _x_text(**layers: Any) -> nn.Module:
    from x_transformers import Encoder, TransformerWrapper

    return TransformerWrapper(
        num_tokens=_WORDS,
        max_seq_len=_LENGTH,
        attn_layers=Encoder(dim=32, depth=2, heads=2, attn_dim_head=16, **layers),
        use_cls_token=True,
        logits_dim=CLASSES,
    )


def _x_image() -> nn.Module:
    from x_transformers import Encoder, ViTransformerWrapper

    return ViTransformerWrapper(
        image_size=32,
        patch_size=8,
        num_classes=CLASSES,
        attn_layers=Encoder(dim=32, depth=2, heads=2, attn_dim_head=16),
    )


def _x_motion() -> nn.Module:
    from x_transformers import ContinuousTransformerWrapper, Encoder

    layers = Encoder(dim=32, depth=2, heads=2, attn_dim_head=16, layer_dropout=0.0, attn_dropout=0.1)
    return Headed(ContinuousTransformerWrapper(dim_in=6, dim_out=32, max_seq_len=64, attn_layers=layers), 32)


def _embedded(module: str, name: str, **options: Any) -> nn.Module:
    return Headed(nn.Sequential(nn.Embedding(_WORDS, 32), _built(module, name, options)), 32)


def _perceiver() -> nn.Module:
    from perceiver_pytorch import Perceiver

    net = Perceiver(
        num_freq_bands=2,
        depth=1,
        max_freq=4.0,
        input_channels=3,
        num_latents=8,
        latent_dim=16,
        latent_heads=2,
        latent_dim_head=8,
        cross_dim_head=8,
        num_classes=CLASSES,
        attn_dropout=0.1,
        weight_tie_layers=True,
    )
    return Called(net, lambda body, x: body(x.permute(0, 2, 3, 1)))


def _mixer() -> nn.Module:
    from mlp_mixer_pytorch import MLPMixer

    return MLPMixer(image_size=32, channels=3, patch_size=8, dim=32, depth=2, num_classes=CLASSES, dropout=0.1)


def _gmlp() -> nn.Module:
    from g_mlp_pytorch import gMLPVision

    return gMLPVision(image_size=32, patch_size=8, num_classes=CLASSES, dim=32, depth=2, ff_mult=2, prob_survival=0.9)


def _lambda() -> nn.Module:
    from lambda_networks import LambdaLayer

    body = nn.Sequential(nn.Conv2d(3, 16, 4, 4), LambdaLayer(dim=16, dim_out=16, r=3, dim_k=8, heads=2), nn.ReLU())
    return Headed(body, 16, lambda maps: maps.flatten(2).transpose(1, 2))


_LINFORMER = {"dim": 32, "seq_len": _LENGTH, "depth": 2, "heads": 2, "k": 4, "dropout": 0.1}
_NYSTROM = {"dim": 32, "dim_head": 16, "heads": 2, "num_landmarks": 4, "dropout": 0.1}
_LOCAL = {"dim": 32, "dim_head": 16, "heads": 2, "window_size": 8, "causal": False, "prenorm": True}
_PERFORMER = {"dim": 32, "depth": 2, "heads": 2, "dim_head": 16}

ENTRIES = (
    _vit("ViT", **_DROPPED),
    Entry("Encoder of text", "x-transformers", "text", _x_text, _TEXT),
    _vit("SimpleViT", "simple_vit", **_SMALL),
    _vit(
        "CCT",
        "cct",
        img_size=32,
        embedding_dim=32,
        n_conv_layers=1,
        num_layers=2,
        num_heads=2,
        mlp_ratio=2,
        kernel_size=3,
        stride=2,
        padding=1,
    ),
    Entry("MLPMixer", "mlp-mixer-pytorch", "image", _mixer, _IMAGE),
    _vit(
        "MobileViT",
        "mobile_vit",
        size=64,
        image_size=(64, 64),
        dims=[16, 24, 32],
        channels=[8, 8, 12, 12, 16, 16, 24, 24, 32, 32, 64],
    ),
    Entry(
        "Encoder of text, rotary",
        "x-transformers",
        "text",
        partial(_x_text, rotary_pos_emb=True, ff_glu=True, use_rmsnorm=True, ff_dropout=0.1),
        _TEXT,
    ),
    Entry("Perceiver", "perceiver-pytorch", "image", _perceiver, _IMAGE),
    _vit("CaiT", "cait", cls_depth=1, layer_dropout=0.05, **_DROPPED),
    Entry("Linformer", "linformer", "text", partial(_embedded, "linformer", "Linformer", **_LINFORMER), _TEXT),
    _vit(
        "CvT",
        "cvt",
        s1_emb_dim=16,
        s1_heads=1,
        s1_depth=1,
        s2_emb_dim=24,
        s2_heads=2,
        s2_depth=1,
        s3_emb_dim=32,
        s3_heads=2,
        s3_depth=1,
        dropout=0.1,
    ),
    Entry("gMLPVision", "g-mlp-pytorch", "image", _gmlp, _IMAGE),
    Entry("vision transformer", "x-transformers", "image", _x_image, _IMAGE),
    Entry(
        "Nystrom attention",
        "nystrom-attention",
        "text",
        partial(_embedded, "nystrom_attention", "NystromAttention", **_NYSTROM),
        _TEXT,
    ),
    Entry("Encoder of motion", "x-transformers", "sensor", _x_motion, "float32:64x6"),
    Entry(
        "local attention", "local-attention", "text", partial(_embedded, "local_attention", "LocalMHA", **_LOCAL), _TEXT
    ),
    _vit("DeepViT", "deepvit", **_DROPPED),
    Entry(
        "Performer",
        "performer-pytorch",
        "text",
        partial(_embedded, "performer_pytorch", "Performer", **_PERFORMER),
        _TEXT,
    ),
    Entry("lambda layer", "lambda-networks", "image", _lambda, _IMAGE),
    _vit("MaxViT", "max_vit", dim=16, depth=(1, 1), window_size=4, dim_conv_stem=16, dim_head=8, dropout=0.1),
)
