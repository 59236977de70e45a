"""Fast forms of ATen operators in ONNX, for `torch.onnx.export(..., custom_translation_table=table())`.

A general exporter takes backward operators apart into many slow ones; each file here writes one family of them in the
form that ONNX Runtime runs fastest, chosen by shape, with a fallback that is right for any. Standard ai.onnx operators
only, opset 18; dimension 0 stays open.

    >>> aten.convolution_backward.default in table()
    True
"""

from collections.abc import Callable
from typing import Any

import torch

from fedrela.export.layers import recurrence_operators
from fedrela.export.onnx_programs.forms import (
    activation,
    angle,
    batch_norm,
    convolution,
    copying,
    group_norm,
    indexing,
    max_pool,
    mean_pool,
    recurrence,
)

aten = torch.ops.aten


def table(*, constant_weights: bool = False) -> dict[torch._ops.OpOverload, Callable[..., Any]]:
    """ATen operator -> the function that writes it in ONNX. `constant_weights`: as a prediction's session has them."""
    convolve = convolution.convolution_by_constants if constant_weights else convolution.convolution
    return {
        aten._native_batch_norm_legit_no_training.default: batch_norm.native_batch_norm_no_training,
        aten.atan2.default: angle.atan2,
        aten.avg_pool2d.default: mean_pool.avg_pool2d,
        aten.convolution.default: convolve,
        aten.convolution_backward.default: convolution.convolution_backward,
        aten.copy.default: copying.copy,
        aten.index.Tensor: indexing.index,
        aten._unsafe_index.Tensor: indexing.index,
        aten.index_put.default: indexing.index_put,
        aten._unsafe_index_put.default: indexing.index_put,
        aten.max_pool2d_with_indices.default: max_pool.max_pool2d_with_indices,
        aten.max_pool2d_with_indices_backward.default: max_pool.max_pool2d_with_indices_backward,
        aten.native_group_norm.default: group_norm.native_group_norm,
        aten.native_group_norm_backward.default: group_norm.native_group_norm_backward,
        aten.elu.default: activation.elu,
        aten.hardsigmoid_backward.default: activation.hardsigmoid_backward,
        aten.hardswish.default: activation.hardswish,
        aten.hardswish_backward.default: activation.hardswish_backward,
        aten.hardtanh.default: activation.hardtanh,
        aten.hardtanh_backward.default: activation.hardtanh_backward,
        aten.leaky_relu.default: activation.leaky_relu,
        aten.leaky_relu_backward.default: activation.leaky_relu_backward,
        aten.silu.default: activation.silu,
        aten.silu_backward.default: activation.silu_backward,
        aten.threshold_backward.default: activation.threshold_backward,
        recurrence_operators.lstm: recurrence.lstm,
        recurrence_operators.lstm_backward: recurrence.lstm_backward,
        recurrence_operators.gru: recurrence.gru,
        recurrence_operators.gru_backward: recurrence.gru_backward,
        recurrence_operators.elman: recurrence.elman,
        recurrence_operators.elman_backward: recurrence.elman_backward,
    }
