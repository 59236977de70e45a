"""Hugging Face transformers' classifiers of pictures, sound and time series, in tiny configurations."""

from dataclasses import replace
from functools import partial
from typing import Any

from tests.zoo.entries import Entry, Kind
from tests.zoo.models.transformers_text import classifier

_VIT = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "image_size": 32,
    "patch_size": 8,
}  # fmt: skip
_WAVE = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
    "conv_dim": (16, 16, 16), "conv_stride": (5, 4, 2), "conv_kernel": (10, 8, 4), "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4, "classifier_proj_size": 16,
    "apply_spec_augment": False,
}  # fmt: skip
_SWIN: dict[str, Any] = {
    "image_size": 32,
    "patch_size": 4,
    "embed_dim": 16,
    "depths": [2, 2],
    "num_heads": [2, 4],
    "window_size": 4,
}


def _net(kind: Kind, family: str, task: str, given: str, **options: Any) -> Entry:
    return Entry(family, "transformers", kind, partial(classifier, family, task, options), given)


def _image(family: str, size: int = 32, **options: Any) -> Entry:
    return _net("image", family, "ImageClassification", f"uint8:3x{size}x{size}", **options)


def _wave(family: str, name: str = "", **options: Any) -> Entry:
    entry = _net("audio", family, "SequenceClassification", "float32:1600", **(_WAVE | options))
    return replace(entry, name=name or family)


def _steady_wave(family: str, **options: Any) -> Entry:
    """Without layers that are left out by chance: the refusal of the others says so."""
    return _wave(family, f"{family}, layerdrop 0", layerdrop=0.0, **options)


ENTRIES = (
    _image("ViT", **_VIT),
    _wave("Wav2Vec2"),
    _steady_wave("Wav2Vec2"),
    _net(
        "audio", "AST", "AudioClassification", "float32:64x32", hidden_size=32, num_hidden_layers=2,
        num_attention_heads=2, intermediate_size=64, max_length=64, num_mel_bins=32,
    ),
    _net(
        "sensor", "PatchTST", "Classification", "float32:64x6", num_input_channels=6, context_length=64, patch_length=8,
        patch_stride=8, d_model=16, num_attention_heads=2, num_hidden_layers=2, ffn_dim=32, num_targets=5,
        use_cls_token=True,
    ),
    _image("ConvNext", hidden_sizes=[16, 32, 48, 64], depths=[1, 1, 1, 1], drop_path_rate=0.1),
    _image("MobileViT", 64, hidden_sizes=[16, 24, 32], neck_hidden_sizes=[8, 12, 16, 24, 32, 40, 48], image_size=64),
    _image("Swin", **_SWIN, drop_path_rate=0.1),
    _steady_wave("Hubert"),
    _image("MobileNetV2", 64, depth_multiplier=0.35, image_size=64),
    _image("ResNet", hidden_sizes=[16, 32, 48, 64], depths=[1, 1, 1, 1], embedding_size=16, layer_type="basic"),
    _image("MobileNetV1", 64, depth_multiplier=0.25, image_size=64),
    _image("Beit", **_VIT, drop_path_rate=0.1, use_relative_position_bias=True),
    _image("Dinov2", **(_VIT | {"image_size": 32}), mlp_ratio=2),
    _image(
        "Segformer", 64, num_encoder_blocks=2, depths=[1, 1], sr_ratios=[4, 2], hidden_sizes=[16, 32],
        patch_sizes=[7, 3], strides=[4, 2], num_attention_heads=[1, 2], mlp_ratios=[2, 2],
    ),
    _net(
        "sensor", "PatchTSMixer", "TimeSeriesClassification", "float32:64x6", num_input_channels=6, context_length=64,
        patch_length=8, patch_stride=8, d_model=16, num_layers=2, num_targets=5,
    ),
    _steady_wave("WavLM", num_buckets=16, max_bucket_distance=32),
    _image("PvtV2", 64, image_size=64, hidden_sizes=[16, 32], depths=[1, 1], num_attention_heads=[1, 2],
           num_encoder_blocks=2, sr_ratios=[4, 2], patch_sizes=[7, 3], strides=[4, 2], mlp_ratios=[2, 2]),
    _image("FocalNet", image_size=32, embed_dim=16, depths=[1, 1], focal_levels=[2, 2], focal_windows=[3, 3],
           hidden_sizes=[16, 32]),
    _steady_wave("SEW", squeeze_factor=2),
    _image("ConvNextV2", hidden_sizes=[16, 32, 48, 64], depths=[1, 1, 1, 1], drop_path_rate=0.1),
)  # fmt: skip
