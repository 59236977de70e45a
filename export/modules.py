"""Which submodule is running: for errors that name it. May import torch.

>>> import torch
>>> model = torch.nn.Sequential(torch.nn.Linear(2, 2))
>>> with module_path(model) as path:
...     _ = model(torch.ones(1, 2))
...     path()
'the model'
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn


@contextmanager
def module_path(model: nn.Module) -> Iterator[Callable[[], str]]:
    """A function that names the innermost submodule that is running, or was when an error stopped it."""
    running: list[str] = []
    handles = []

    def enter(name: str) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            running.append(name)

        return hook

    def leave(*_: Any) -> None:
        running.pop()

    for name, module in model.named_modules():
        if name:
            label = f"{name} ({type(module).__name__})"
            handles.append(module.register_forward_pre_hook(enter(label)))
            handles.append(module.register_forward_hook(leave))
    try:
        yield lambda: running[-1] if running else "the model"
    finally:
        for handle in handles:
            handle.remove()
