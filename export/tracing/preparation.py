"""A user's model as an export takes it: a copy in float32, out of its wrappers, called with tensors and giving logits.

>>> import torch
>>> model = torch.nn.DataParallel(torch.nn.Linear(4, 3).double())
>>> from fedrela.export.inputs import parse
>>> from fedrela.export.recipe import Recipe
>>> said = []
>>> prepare(model, Recipe((parse("float32:4"),), classes=3), said.append)
Linear(in_features=4, out_features=3, bias=True)
>>> said
['model: taken out of its DataParallel', 'model: float64 parameters are taken as float32']
"""

import copy
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from fedrela.core.errors import InvalidInput, UnsupportedOperation
from fedrela.export.inputs import model_arguments
from fedrela.export.recipe import Recipe
from fedrela.export.tracing import names, outputs
from fedrela.export.tracing.copying import lost_in_copies, reached
from fedrela.export.tracing.examples import example, model_inputs
from fedrela.export.tracing.forward_pass import without_detours

Report = Callable[[str], None]
_WRAPPERS = {"OptimizedModule": "_orig_mod", "DataParallel": "module", "DistributedDataParallel": "module"}
_BATCH = 5


def prepare(model: nn.Module, recipe: Recipe, report: Report = lambda stage: None) -> nn.Module:
    """The copy; `report` gets a line for each thing that was done to it. The model itself is left alone.

    Raises InvalidInput or UnsupportedOperation for what no export can take.
    """
    model = _unwrapped(model, report)
    lost_in_copies.refuse_hooks(model, recipe.trained(model))
    shared = lost_in_copies.sharing(model)
    own = copied(model)
    _refuse_scripted(own)
    _refuse_without_values(own)
    _refuse_hidden_layers(own)
    kinds = {value.dtype for value in (*own.parameters(), *own.buffers()) if value.is_floating_point()}
    other = sorted(str(kind).removeprefix("torch.") for kind in kinds - {torch.float32})
    if other:
        report(f"model: {' and '.join(other)} parameters are taken as float32")
    own = own.to("cpu").float()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # lazy layers draw their weights: the same in every process
        own = _called_with_tensors(own, recipe, report)
        _refuse_what_no_copy_has(model, own, recipe, shared)
    names.make_unambiguous(own, recipe, report)
    return own


def copied(model: nn.Module) -> nn.Module:
    """A deep copy, in which compiled submodules are those that they were compiled from.

    A tensor that a forward pass left behind in an attribute (old weight_norm does) is copied without its history.
    """
    memo: dict[int, Any] = {}
    for module in model.modules():
        for value in vars(module).values():
            if isinstance(value, Tensor) and not value.is_leaf:
                memo[id(value)] = value.detach().clone()
    for module in model.modules():
        inner = _inner(module)
        if inner is not None:
            memo[id(module)] = copy.deepcopy(inner, memo)
    return copy.deepcopy(model, memo)


def _unwrapped(model: nn.Module, report: Report) -> nn.Module:
    inner = _inner(model)
    if inner is None:
        return model
    report(f"model: taken out of its {type(model).__name__}")
    return _unwrapped(inner, report)


def _inner(model: nn.Module) -> nn.Module | None:
    """What a wrapper of torch's own holds."""
    name = _WRAPPERS.get(type(model).__name__) if type(model).__module__.startswith("torch.") else None
    return getattr(model, name) if name else None


def _refuse_scripted(model: nn.Module) -> None:
    for path, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise UnsupportedOperation(
                f"{path or 'the model'} is scripted or traced (torch.jit)",
                remedy="give the nn.Module that it was made from",
            )


def _refuse_without_values(model: nn.Module) -> None:
    for name, value in (*model.named_parameters(), *model.named_buffers()):
        if value.is_meta:
            raise InvalidInput(
                f"{name} has a shape and no values (it is on the meta device)", remedy="make the model on the CPU"
            )


def _refuse_hidden_layers(model: nn.Module) -> None:
    """Layers in a plain list are no part of a model for torch either: nothing would train them."""
    known = {id(parameter) for parameter in model.parameters()}
    for path, module in model.named_modules():
        for name, value in vars(module).items():
            if name == "_modules" or not isinstance(value, list | tuple | dict):
                continue
            for layer in value.values() if isinstance(value, Mapping) else value:
                if isinstance(layer, nn.Module) and any(
                    p.requires_grad and id(p) not in known for p in layer.parameters()
                ):
                    raise InvalidInput(
                        f"{path or 'the model'} holds layers in a plain {type(value).__name__}, {name!r}: torch "
                        f"doesn't know their parameters, so nothing would train them",
                        remedy="use nn.ModuleList or nn.ModuleDict",
                    )


def _refuse_what_no_copy_has(model: nn.Module, own: nn.Module, recipe: Recipe, shared: list[tuple[str, str]]) -> None:
    xs = model_inputs(recipe, example(recipe, _BATCH, torch.Generator().manual_seed(0)))
    conventions = {_AS_ALWAYS: _CONVENTIONS[_AS_ALWAYS]}
    runs: list[lost_in_copies.Run] = [
        partial(_try, conventions=conventions, recipe=recipe, xs=xs, training=training) for training in (True, False)
    ]
    lost_in_copies.refuse_sharing(shared, own, (*recipe.trained(model), *recipe.trained(own)), runs)
    for run in runs:
        found = reached.past(model, own, run)
        if found:
            raise InvalidInput(
                f"the forward pass reaches {', '.join(found[:3])} by a function that holds this very model (a lambda, "
                "a closure or a global name): in a copy of the model nothing would train that",
                remedy="let it be a method, or pass the layer to it: lambda own, x: own.layer(x)",
            )


def _called_with_tensors(model: nn.Module, recipe: Recipe, report: Report) -> nn.Module:
    """`model`, its forward so wrapped that it takes the recipe's inputs and gives logits, where it doesn't by itself.

    A model that can't be run at all is given back as it is: the analysis says what is wrong.
    """
    xs = model_inputs(recipe, example(recipe, _BATCH, torch.Generator().manual_seed(0)))
    if any(is_lazy(value) for value in (*model.parameters(), *model.buffers())):
        report("model: run once, so that its lazy layers get their shapes")
        _try(model, _CONVENTIONS, recipe, xs, training=False)
    convention, *given = _try(copy.deepcopy(model), _CONVENTIONS, recipe, xs, training=False)
    if convention is None or "forward" in vars(model):
        return model
    given += _try(copy.deepcopy(model), {convention: _CONVENTIONS[convention]}, recipe, xs, training=True)[1:]
    done = [what for what in dict.fromkeys(outputs.logits(output, recipe.classes)[1] for output in given) if what]
    if not done and convention == next(iter(_CONVENTIONS)):
        return model
    report(f"model: {'; '.join([*([f'inputs go in {convention}'] if convention != _AS_ALWAYS else []), *done])}")
    model.__class__ = _adapted(type(model), _CONVENTIONS[convention], recipe)
    return model


Convention = Callable[[Recipe, Mapping[str, Tensor]], tuple[tuple[Any, ...], dict[str, Tensor]]]
_AS_ALWAYS = "as tensors"
_CONVENTIONS: dict[str, Convention] = {
    _AS_ALWAYS: lambda recipe, xs: model_arguments(recipe.inputs, xs),
    "as tensors, in order": lambda recipe, xs: (tuple(xs.values()), {}),
    "by name": lambda recipe, xs: ((), dict(xs)),
    "as one dict": lambda recipe, xs: ((dict(xs),), {}),
    "as one tuple": lambda recipe, xs: ((tuple(xs.values()),), {}),
}


def _try(
    model: nn.Module, conventions: Mapping[str, Convention], recipe: Recipe, xs: Mapping[str, Tensor], training: bool
) -> tuple[Any, ...]:
    """The first convention that `model` can be called with, and what it gave; (None,) if there is none."""
    model.train(training)
    for name, convention in conventions.items():
        arguments, named = convention(recipe, xs)
        try:
            with torch.no_grad(), without_detours():
                return name, model(*arguments, **named)
        except Exception:
            continue
    return (None,)


def _adapted(kind: type[nn.Module], convention: Convention, recipe: Recipe) -> type[nn.Module]:
    """The class, but for its forward, by the same name."""
    names = tuple(raw.name for raw in recipe.inputs)

    def forward(self: Any, *values: Tensor, **named: Tensor) -> Any:
        xs = named or dict(zip(names, values, strict=True))
        arguments, by_name = convention(recipe, xs)
        return outputs.logits(kind.forward(self, *arguments, **by_name), recipe.classes)[0]

    body = {"forward": forward, "__module__": kind.__module__, "__qualname__": kind.__qualname__}
    metaclass: Any = type(kind)
    adapted: type[nn.Module] = metaclass(kind.__name__, (kind,), body)
    return adapted
