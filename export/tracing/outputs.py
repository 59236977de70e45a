"""The logits in what a model gives, whatever form it gives them in.

>>> import torch
>>> logits({"logits": torch.ones(4, 3)}, 3)[0].shape
torch.Size([4, 3])
>>> logits(torch.tensor([[0.5]]), 2)
(tensor([[0.0000, 0.5000]]), 'one number for two classes: as logits 0 and that number')
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def logits(output: Any, classes: int) -> tuple[Any, str]:
    """The logits (B, C), and in words what was done to find them; "" if they were given as they are.

    What holds none is given back as it is: whoever looks at the logits refuses it.
    """
    tensor, what = _tensor(output, classes)
    if not isinstance(tensor, Tensor):
        return output, ""
    if classes == 2 and tuple(tensor.shape[1:]) in ((), (1,)) and tensor.dim() > 0:
        number = tensor.reshape(-1, 1)
        both = torch.cat([torch.zeros_like(number), number], 1)
        return both, _and(what, "one number for two classes: as logits 0 and that number")
    if tensor.dim() > 2 and all(size == 1 for size in tensor.shape[2:]):
        return tensor.flatten(1), _and(what, "further dimensions of size 1 are left out")
    return tensor, what


def _tensor(output: Any, classes: int) -> tuple[Any, str]:
    """The tensor of logits in an output object, a dict or a tuple."""
    kind = type(output).__name__
    if isinstance(output, Tensor):
        return output, ""
    if isinstance(getattr(output, "logits", None), Tensor):
        return output.logits, f"of a {kind} the logits"
    if isinstance(output, Mapping):
        named = [name for name, value in output.items() if str(name).endswith("logits") and isinstance(value, Tensor)]
        chosen = ["logits"] if "logits" in named else named or _of_classes(output, classes)
        return (output[chosen[0]], f"of a {kind} what is called {chosen[0]}") if len(chosen) == 1 else (output, "")
    tensors = [value for value in output if isinstance(value, Tensor)] if isinstance(output, tuple | list) else []
    return (tensors[0], f"of a {kind} the first tensor") if tensors else (output, "")


def _of_classes(output: Mapping[Any, Any], classes: int) -> list[Any]:
    """The names of what has one number for each class."""
    tensors = {name: value for name, value in output.items() if isinstance(value, Tensor)}
    return [name for name, value in tensors.items() if tuple(value.shape[1:]) == (classes,)]


def _and(one: str, other: str) -> str:
    return f"{one}; {other}" if one else other
