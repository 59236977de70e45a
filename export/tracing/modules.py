"""Which submodule runs which operator: for errors that name both.

>>> import torch
>>> model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Sigmoid())
>>> with Observer(model) as observer:
...     _ = model(torch.ones(1, 2))
>>> observer.operators["sigmoid"]
'1 (Sigmoid)'
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.hooks import RemovableHandle

from fedrela.core.errors import UnsupportedOperation

_RANDOM = frozenset(
    (
        "rand",
        "randn",
        "rand_like",
        "randn_like",
        "randint",
        "randint_like",
        "randperm",
        "bernoulli",
        "bernoulli_",
        "normal",
        "normal_",
        "uniform_",
        "random_",
        "exponential_",
        "multinomial",
        "native_dropout",
        "rrelu_with_noise",
    )
)
_OPERATOR = re.compile(r"aten[.:]+(\w+)")


class Observer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Inside `with`: notes for every ATen operator the first submodule that calls it, and refuses random numbers."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operators: dict[str, str] = {}
        self._running: list[str] = []
        self._handles: list[RemovableHandle] = []
        self._model = model

    @property
    def path(self) -> str:
        """The innermost submodule that is running, or was when an error stopped it."""
        return self._running[-1] if self._running else "the model"

    def __enter__(self) -> "Observer":
        for name, module in self._model.named_modules():
            if name:
                self._handles.append(
                    module.register_forward_pre_hook(self._enters(f"{name} ({type(module).__name__})"))
                )
                self._handles.append(module.register_forward_hook(self._leaves))
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *exception: Any) -> None:
        super().__exit__(*exception)  # type: ignore[no-untyped-call]
        for handle in self._handles:
            handle.remove()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        self.operators.setdefault(name, self.path)
        if name in _RANDOM and func.namespace == "aten":
            raise UnsupportedOperation(
                f"{self.path} draws random numbers (aten.{name})",
                remedy="use nn.Dropout, whose masks become inputs, or give the random numbers as a model input",
            )
        return func(*args, **(kwargs or {}))

    def _enters(self, label: str) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            self._running.append(label)

        return hook

    def _leaves(self, *_: Any) -> None:
        self._running.pop()


def locate(problem: str, operators: Mapping[str, str]) -> str:
    """The submodule whose operator `problem` speaks of, directly or by its backward; "" if it isn't known."""
    for name in _OPERATOR.findall(problem):
        forward = re.sub(r"(_data)?_backward.*$|_double_backward$", "", name)
        for candidate in (name, forward, forward.removeprefix("_"), f"_{forward}"):
            if candidate in operators:
                return operators[candidate]
    return ""
