"""Hugging Face transformers' classifiers of text: tiny configurations of the architectures, random weights."""

from functools import partial
from typing import Any

from torch import nn

from tests.zoo.entries import CLASSES, Entry

WORDS, LENGTH = 200, 16
_ENCODER = {
    "vocab_size": WORDS, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
    "max_position_embeddings": 64,
}  # fmt: skip
_DECODER = _ENCODER | {"num_key_value_heads": 1, "pad_token_id": 0}


def classifier(family: str, task: str, options: dict[str, Any]) -> nn.Module:
    """`<family>For<task>` from a `<family>Config` with these options."""
    import transformers

    config = getattr(transformers, f"{family}Config")(num_labels=CLASSES, **options)
    net: nn.Module = getattr(transformers, f"{family}For{task}")(config)
    return net


def _text(family: str, options: dict[str, Any], length: int = LENGTH) -> Entry:
    build = partial(classifier, family, "SequenceClassification", options)
    return Entry(family, "transformers", "text", build, f"int64:{length}:{WORDS}")


_BERT_WITH_MASK = Entry(
    "Bert, segments and a mask",
    "transformers",
    "text",
    partial(classifier, "Bert", "SequenceClassification", _ENCODER),
    (f"input_ids=int64:{LENGTH}:{WORDS}", f"token_type_ids=int64:{LENGTH}:2", f"attention_mask=int64:{LENGTH}:2"),
)

ENTRIES = (
    _text("Bert", _ENCODER),
    _text("DistilBert", {"vocab_size": WORDS, "dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64}),
    _text("GPT2", {"vocab_size": WORDS, "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64, "pad_token_id": 0}),
    _text("Roberta", _ENCODER),
    _text("MobileBert", _ENCODER | {"embedding_size": 16, "intra_bottleneck_size": 16, "num_feedforward_networks": 2}),
    _text("Llama", _DECODER),
    _text("Albert", _ENCODER | {"embedding_size": 16}),
    _BERT_WITH_MASK,
    _text(
        "ModernBert",
        _ENCODER | {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2},
    ),
    _text("Electra", _ENCODER | {"embedding_size": 16}),
    _text(
        "DebertaV2",
        _ENCODER | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "max_relative_positions": 32},
    ),
    _text(
        "SqueezeBert",
        _ENCODER
        | {
            "embedding_size": 32,
            "q_groups": 2,
            "k_groups": 2,
            "v_groups": 2,
            "intermediate_groups": 2,
            "output_groups": 2,
        },
    ),
    _text("Qwen2", _DECODER),
    _text(
        "Deberta", _ENCODER | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "max_relative_positions": 32}
    ),
    _text("MPNet", _ENCODER),
    _text("ConvBert", _ENCODER | {"embedding_size": 16, "conv_kernel_size": 3}),
    _text("FNet", {name: value for name, value in _ENCODER.items() if name != "num_attention_heads"}),
    _text(
        "OPT",
        {
            "vocab_size": WORDS,
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "ffn_dim": 64,
            "word_embed_proj_dim": 32,
            "max_position_embeddings": 64,
            "pad_token_id": 0,
        },
    ),
    _text("Bloom", {"vocab_size": WORDS, "hidden_size": 32, "n_layer": 2, "n_head": 2, "pad_token_id": 0}),
    _text("XLNet", {"vocab_size": WORDS, "d_model": 32, "n_layer": 2, "n_head": 2, "d_inner": 64}),
    _text("Nystromformer", _ENCODER | {"num_landmarks": 4, "segment_means_seq_len": LENGTH}),
)
