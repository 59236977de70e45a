"""Tables: rtdl's baselines, TabM, TabNet, and the transformers over columns."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from tests.zoo.entries import CLASSES, Called, Entry

_COLUMNS = 12
_TABLE = f"float32:{_COLUMNS}"
_CATEGORIES = (4, 6, 3)
_MIXED = (f"x_cont=float32:{_COLUMNS}", f"x_cat=int64:{len(_CATEGORIES)}:3")


def _rtdl_mlp() -> nn.Module:
    from rtdl_revisiting_models import MLP

    return MLP(d_in=_COLUMNS, d_out=CLASSES, n_blocks=2, d_block=48, dropout=0.1)


def _rtdl_resnet() -> nn.Module:
    from rtdl_revisiting_models import ResNet

    options = {"d_hidden": None, "d_hidden_multiplier": 2.0, "dropout1": 0.2, "dropout2": 0.1}
    return ResNet(d_in=_COLUMNS, d_out=CLASSES, n_blocks=2, d_block=32, **options)


def _rtdl_transformer() -> nn.Module:
    from rtdl_revisiting_models import FTTransformer

    options = {
        "n_blocks": 2, "d_block": 16, "attention_n_heads": 2, "attention_dropout": 0.1, "ffn_d_hidden": None,
        "ffn_d_hidden_multiplier": 2, "ffn_dropout": 0.1, "residual_dropout": 0.0,
    }  # fmt: skip
    return FTTransformer(n_cont_features=_COLUMNS, cat_cardinalities=[*_CATEGORIES], d_out=CLASSES, **options)


def _tabm(arch_type: str) -> nn.Module:
    from tabm import TabM

    net = TabM.make(
        n_num_features=_COLUMNS, d_out=CLASSES, n_blocks=2, d_block=32, dropout=0.1, k=4, arch_type=arch_type
    )
    return Called(net, lambda body, x: body(x).mean(1))


def _tabnet(mask: str) -> nn.Module:
    from pytorch_tabnet.tab_network import TabNet

    return TabNet(
        _COLUMNS, CLASSES, n_d=8, n_a=8, n_steps=2, virtual_batch_size=64, mask_type=mask,
        group_attention_matrix=torch.eye(_COLUMNS),
    )  # fmt: skip


class _Columns(nn.Module):
    """tab-transformer-pytorch takes the categories first, both by position."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x_cont: Tensor, x_cat: Tensor) -> Tensor:
        """x_cont (B, columns), x_cat (B, categories) int64; logits (B, CLASSES)."""
        logits: Tensor = self.body(x_cat, x_cont)
        return logits


def _over_columns(name: str, **more: Any) -> nn.Module:
    import tab_transformer_pytorch

    options = {"dim": 16, "depth": 2, "heads": 2, "dim_head": 8, "attn_dropout": 0.1, "ff_dropout": 0.1} | more
    body = getattr(tab_transformer_pytorch, name)(
        categories=_CATEGORIES, num_continuous=_COLUMNS, dim_out=CLASSES, **options
    )
    return _Columns(body)


ENTRIES = (
    Entry("MLP", "rtdl-revisiting-models", "tabular", _rtdl_mlp, _TABLE),
    Entry("ResNet", "rtdl-revisiting-models", "tabular", _rtdl_resnet, _TABLE),
    Entry("FT-Transformer", "rtdl-revisiting-models", "tabular", _rtdl_transformer, _MIXED),
    Entry("TabNet, sparsemax", "pytorch-tabnet", "tabular", partial(_tabnet, "sparsemax"), _TABLE),
    Entry("TabM", "tabm", "tabular", partial(_tabm, "tabm"), _TABLE),
    Entry(
        "TabTransformer",
        "tab-transformer-pytorch",
        "tabular",
        partial(_over_columns, "TabTransformer", mlp_act=nn.ReLU()),
        _MIXED,
    ),
    Entry("FTTransformer", "tab-transformer-pytorch", "tabular", partial(_over_columns, "FTTransformer"), _MIXED),
    Entry("TabM, mini", "tabm", "tabular", partial(_tabm, "tabm-mini"), _TABLE),
    Entry("TabNet, entmax", "pytorch-tabnet", "tabular", partial(_tabnet, "entmax"), _TABLE),
)
