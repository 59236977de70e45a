"""Which parameters and buffers a forward pass writes, whether or not that changes a value on the data of that pass.

A running maximum stays as it is until something is larger: it is a part of the state all the same.

    >>> model = torch.nn.BatchNorm1d(2)
    >>> watch = Watch(model)
    >>> with Dataflow({}) as flow:
    ...     _ = model.running_mean.clamp_(max=9.0)
    >>> watch.written(flow)
    {'running_mean'}
"""

import torch
from torch import Tensor, nn

from fedrela.export.tracing.dataflow import Dataflow, memory


class Watch:
    """Begun before a pass of `model`, whose tensors it keeps: another that is made meanwhile lies elsewhere."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._before = {name: (value, version(value), value.clone()) for name, value in _tensors(model).items()}

    def written(self, flow: Dataflow) -> set[str]:
        """Those that were changed in place or assigned, and have the shape that they had: others are no state."""
        after = {name: value for name, value in _tensors(self._model).items() if name in self._before}
        return {name for name, value in after.items() if self._is_written(name, value, flow)}

    def _is_written(self, name: str, value: Tensor, flow: Dataflow) -> bool:
        held, number, copy = self._before[name]
        if value.shape != copy.shape:
            return False
        if memory(value) != memory(held) or memory(held) in flow.written or version(held) != number:
            return True
        return not torch.equal(value, copy)  # by an operator that doesn't say that it writes


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    return dict((*model.named_buffers(), *model.named_parameters()))


def version(value: Tensor) -> int:
    """How often it was written, as far as torch counts that; of tensors of the inference mode it doesn't."""
    return 0 if value.is_inference() else value._version
