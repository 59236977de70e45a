"""Dropout whose masks come from supplied uniforms, so that a step can be replayed.

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

_ATTENTION = F.scaled_dot_product_attention
_MULTI_HEAD = F.multi_head_attention_forward
_SELU_FLOOR = -1.7580993408473766  # what SELU gives for minus infinity

Uniforms = Callable[[tuple[Any, ...]], Tensor]
Drop = Callable[[Tensor, float, Uniforms], Tensor]
Rules = dict[Any, Callable[..., Any]]


def rules(uniforms: Uniforms) -> Rules:
    """torch function -> what to call instead, wherever a model may drop out."""
    plain = _rule(elementwise, uniforms)

    def attention(*args: Any, **kwargs: Any) -> Tensor:
        return _attention(uniforms, *args, **kwargs)

    def multi_head(*args: Any, **kwargs: Any) -> Any:
        with patch.object(F, "dropout", plain), patch.object(F, "scaled_dot_product_attention", attention):
            return _MULTI_HEAD(*args, **kwargs)

    drops = {"dropout": elementwise, "feature_dropout": whole_channels}
    drops |= {"alpha_dropout": alpha, "feature_alpha_dropout": alpha_channels}
    layers = (torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu)
    return (
        {getattr(torch, name): _rule(drop, uniforms) for name, drop in drops.items()}
        | {getattr(torch, f"{name}_"): partial(_rule(drop, uniforms), inplace=True) for name, drop in drops.items()}
        | {
            F.dropout: plain,
            F.dropout1d: _rule(whole_channels, uniforms, single=2),
            F.dropout2d: _rule(whole_channels, uniforms),
            F.dropout3d: _rule(whole_channels, uniforms, single=4),
            F.alpha_dropout: _rule(alpha, uniforms, by_default=False),
            F.feature_alpha_dropout: _rule(alpha_channels, uniforms, by_default=False),
            F.scaled_dot_product_attention: attention,
            F.multi_head_attention_forward: multi_head,
        }
        | {function: partial(recurrent, function, uniforms) for function in layers}
    )


def elementwise(x: Tensor, p: float, uniforms: Uniforms) -> Tensor:
    """Drop single elements of x with probability p."""
    if p >= 1:
        return x * 0.0
    return x * ((uniforms(tuple(x.shape)) >= p).to(x.dtype) * (1 / (1 - p)))


def whole_channels(x: Tensor, p: float, uniforms: Uniforms) -> Tensor:
    """Drop whole channels of x (B, C, ...) with probability p."""
    if p >= 1:
        return x * 0.0
    return x * (_channels_kept(x, p, uniforms) * (1 / (1 - p)))


def alpha(x: Tensor, p: float, uniforms: Uniforms) -> Tensor:
    """Put single elements of x to SELU's floor and keep mean 0 and variance 1: Klambauer et al., NIPS 2017."""
    if p >= 1:
        return x * 0.0
    return _standardized(x, (uniforms(tuple(x.shape)) >= p).to(x.dtype), p)


def alpha_channels(x: Tensor, p: float, uniforms: Uniforms) -> Tensor:
    """`alpha` for whole channels of x (B, C, ...)."""
    if p >= 1:
        return x * 0.0
    return _standardized(x, _channels_kept(x, p, uniforms), p)


def _channels_kept(x: Tensor, p: float, uniforms: Uniforms) -> Tensor:
    """1 for a channel that is kept, else 0, in a shape that broadcasts over x (B, C, ...)."""
    mask = (uniforms(tuple(x.shape[:2])) >= p).to(x.dtype)
    return mask.reshape([*x.shape[:2], *[1] * (x.dim() - 2)])


def _standardized(x: Tensor, mask: Tensor, p: float) -> Tensor:
    scale = 1 / math.sqrt((1 - p) * (1 + p * _SELU_FLOOR**2))
    return (x * mask + _SELU_FLOOR * (1 - mask)) * scale - scale * _SELU_FLOOR * p


def _rule(drop: Drop, uniforms: Uniforms, *, by_default: bool = True, single: int = 0) -> Callable[..., Tensor]:
    """What replaces a dropout function of torch; `single`: dimensions of what it takes for one example, (C, ...)."""

    def dropped(x: Tensor, p: float = 0.5, training: bool = by_default, inplace: bool = False) -> Tensor:
        if not training or p == 0:
            return x
        result = drop(x[None], p, uniforms)[0] if x.dim() == single else drop(x, p, uniforms)
        return x.copy_(result) if inplace else result

    # torch's functions and those of torch.nn.functional don't call the flag alike
    return lambda x, p=0.5, *rest, train=None, **named: dropped(
        x, p, *rest, **(named if train is None else named | {"training": train})
    )


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
        key, value = (x.repeat_interleave(query.shape[-3] // x.shape[-3], -3) for x in (key, value))
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = torch.matmul(query * factor, key.transpose(-2, -1))
    if is_causal:
        allowed = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool).tril()
        scores = scores.masked_fill(~allowed, float("-inf"))
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, float("-inf")) if attn_mask.dtype is torch.bool else scores + attn_mask
    return torch.matmul(elementwise(_weights(scores), dropout_p, uniforms), value)


def _weights(scores: Tensor) -> Tensor:
    """Softmax over the last dimension; all 0, as torch has it, where a query may attend to nothing."""
    nothing = scores.amax(-1, keepdim=True) == float("-inf")
    return torch.softmax(scores.masked_fill(nothing, 0.0), dim=-1).masked_fill(nothing, 0.0)


def recurrent(func: Any, uniforms: Uniforms, *args: Any, **kwargs: Any) -> Any:
    """A recurrent layer of torch.nn. With dropout, its layers are run one by one: torch draws it inside one call."""
    if len(args) != 9:  # not as torch.nn calls it
        return func(*args, **kwargs)
    layers, p, training = args[4:7] if isinstance(args[3], bool) else (1, 0.0, False)  # else packed, and refused there
    if layers == 1 or p == 0 or not training:
        return func(*args)
    return _layer_by_layer(func, uniforms, *args)


def _layer_by_layer(
    func: Any,
    uniforms: Uniforms,
    x: Tensor,
    state: Any,
    weights: Any,
    biases: bool,
    layers: int,
    p: float,
    training: bool,
    *rest: Any,
) -> tuple[Tensor, ...]:
    """The outputs of the last layer, then every final state of all layers; dropout on what a layer hands on."""
    own, states = len(weights) // layers, state if isinstance(state, tuple | list) else (state,)
    parts = [each.chunk(layers) for each in states]
    finals = []
    for layer in range(layers):
        if layer:
            x = elementwise(x, p, uniforms)
        start = tuple(part[layer] for part in parts)
        layer_state = start if isinstance(state, tuple | list) else start[0]
        x, *final = func(x, layer_state, weights[layer * own : (layer + 1) * own], biases, 1, 0.0, training, *rest)
        finals.append(final)
    return (x, *(torch.cat(each) for each in zip(*finals, strict=True)))
