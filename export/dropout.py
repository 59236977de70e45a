"""Dropout whose masks come from supplied uniforms, so that a step can be replayed. May import torch and
`core.errors`.

An element is kept where its uniform is at least p, and scaled by 1 / (1 - p): Srivastava et al., JMLR 2014.

    >>> import torch
    >>> elementwise(torch.ones(2, 2), 0.5, lambda shape: torch.tensor([[0.1, 0.5], [0.9, 0.4]]))
    tensor([[0., 2.],
            [2., 0.]])
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor

from core.errors import UnsupportedOperation

_ATTENTION = F.scaled_dot_product_attention
_MULTI_HEAD = F.multi_head_attention_forward

Uniforms = Callable[[tuple[Any, ...]], Tensor]
Rules = dict[Any, Callable[..., Any]]


def rules(uniforms: Uniforms) -> Rules:
    """torch function -> what to call instead, wherever a model may drop out."""

    def plain(x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        return elementwise(x, p, uniforms) if training and p > 0 else x

    def channels(x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        return whole_channels(x, p, uniforms) if training and p > 0 else x

    def attention(*args: Any, **kwargs: Any) -> Tensor:
        return _attention(uniforms, *args, **kwargs)

    def multi_head(*args: Any, **kwargs: Any) -> Any:
        with patch.object(F, "dropout", plain), patch.object(F, "scaled_dot_product_attention", attention):
            return _MULTI_HEAD(*args, **kwargs)

    return {
        F.dropout: plain,
        torch.dropout: plain,
        F.dropout1d: channels,
        F.dropout2d: channels,
        F.dropout3d: channels,
        F.scaled_dot_product_attention: attention,
        F.multi_head_attention_forward: multi_head,
        torch.lstm: partial(_recurrent, torch.lstm),
        torch.gru: partial(_recurrent, torch.gru),
        torch.rnn_tanh: partial(_recurrent, torch.rnn_tanh),
        torch.rnn_relu: partial(_recurrent, torch.rnn_relu),
    }


def elementwise(x: Tensor, p: float, uniforms: Uniforms) -> Tensor:
    """Drop single elements of x with probability p."""
    if p >= 1:
        return x * 0.0
    return x * ((uniforms(tuple(x.shape)) >= p).to(x.dtype) * (1 / (1 - p)))


def whole_channels(x: Tensor, p: float, uniforms: Uniforms) -> Tensor:
    """Drop whole channels of x (B, C, ...) with probability p."""
    if p >= 1:
        return x * 0.0
    mask = (uniforms(tuple(x.shape[:2])) >= p).to(x.dtype) * (1 / (1 - p))
    return x * mask.reshape([*x.shape[:2], *[1] * (x.dim() - 2)])


def _attention(
    uniforms: Uniforms,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Scaled dot-product attention whose attention weights drop out; without dropout, torch's own."""
    if not dropout_p:
        return _ATTENTION(query, key, value, attn_mask, 0.0, is_causal, scale=scale, enable_gqa=enable_gqa)
    if enable_gqa:
        raise UnsupportedOperation(
            "grouped-query attention with dropout", remedy="repeat the key and value heads, or use dropout_p=0"
        )
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = torch.matmul(query * factor, key.transpose(-2, -1))
    if is_causal:
        allowed = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool).tril()
        scores = scores.masked_fill(~allowed, float("-inf"))
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, float("-inf")) if attn_mask.dtype is torch.bool else scores + attn_mask
    return torch.matmul(elementwise(torch.softmax(scores, dim=-1), dropout_p, uniforms), value)


def _recurrent(func: Any, *args: Any, **kwargs: Any) -> Any:
    """A recurrent layer; dropout between its layers is refused, because torch draws it inside one call."""
    if len(args) >= 9 and isinstance(args[5], float):  # x, state, weights, bias, layers, p, training, ...
        layers, p, training = args[4:7]
        if p > 0 and training and layers > 1:
            raise UnsupportedOperation(
                f"{func.__name__} with dropout between its layers",
                remedy="stack single-layer LSTM or GRU modules with nn.Dropout between them",
            )
    return func(*args, **kwargs)
