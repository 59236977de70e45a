"""Whether what a forward pass gives depends on a buffer that isn't a number of its state, such as a counter.

A program carries float buffers from step to step. A whole number that training changes (a count of batches) is left as
it was: harmless where nothing but the count itself reads it, and wrong where the logits, a float buffer or Python does.

    >>> import torch
    >>> steps, x = torch.zeros((), dtype=torch.int64), torch.ones(2)
    >>> with Dataflow({"steps": steps}) as flow:
    ...     steps += 1
    ...     y, z = x * steps, x * 2
    >>> flow.sources(y), flow.sources(z)
    (frozenset({'steps'}), frozenset())
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

Sources = frozenset[str]


class Dataflow(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Inside `with`: follows what is computed from the tensors of `origins`, by name."""

    def __init__(self, origins: Mapping[str, Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.read_by_python: Sources = frozenset()
        self.written: set[int] = set()  # where the tensors lie that an operator changed
        self._sources = {memory(tensor): frozenset({name}) for name, tensor in origins.items()}
        self._held = list(origins.values())  # lest other tensors come to lie in their memory

    def sources(self, tensor: Tensor) -> Sources:
        """The origins that `tensor` was computed from."""
        return self._sources.get(memory(tensor), frozenset())

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        taken = tensors((args, kwargs))
        sources = frozenset().union(*(self.sources(tensor) for tensor in taken))
        if func is torch.ops.aten._local_scalar_dense.default:
            self.read_by_python |= sources
        changed = [value for name, value in _by_name(func, args, kwargs).items() if name in _written(func)]
        self.written |= {memory(tensor) for tensor in tensors(changed)}
        old = {memory(tensor) for tensor in taken}
        for tensor in (*tensors(result), *tensors(changed)):
            place = memory(tensor)
            self._sources[place] = sources | (self._sources.get(place, frozenset()) if place in old else frozenset())
        return result


def memory(tensor: Tensor) -> int:
    """Where it lies: the same for its views, and another's only when nobody holds it any more."""
    return int(tensor.untyped_storage()._cdata)


def tensors(values: Any) -> Iterable[Tensor]:
    """Those in nested arguments."""
    return [value for value in pytree.tree_leaves(values) if isinstance(value, Tensor)]


def _written(func: Any) -> set[str]:
    """Names of the arguments that an operator changes."""
    return {each.name for each in func._schema.arguments if each.alias_info is not None and each.alias_info.is_write}


def _by_name(func: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    return dict(zip((each.name for each in func._schema.arguments), args, strict=False)) | (kwargs or {})
