"""The same three programs in plain eager PyTorch: what every exported artifact is compared with.

It shares no mathematics with the exported graphs where torch has its own: the user's untouched model in training mode,
torch.autograd, torch.optim and torch's batch statistics over the examples that count, which are picked out by index.
Only supplied random numbers (augmentation, dropout) come in as they do in the graph.
"""

import copy
from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedrela.core import relabel as specification
from fedrela.core.bundle import Manifest
from fedrela.core.tensors import Array
from fedrela.export.inputs import model_arguments
from fedrela.export.recipe import Recipe
from fedrela.export.tracing.forward_pass import without_detours
from fedrela.export.tracing.model_analysis import ModelAnalysis
from fedrela.export.verification import precision
from fedrela.export.verification.supplied import Supplied


class Reference:
    """Runs golden and verification steps eagerly. Every call takes and gives named numpy arrays.

    In float64 (`dtype`) it tells how far float32 itself is from the truth.
    """

    def __init__(
        self,
        model: nn.Module,
        recipe: Recipe,
        analysis: ModelAnalysis,
        manifest: Manifest,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._dtype = dtype
        self._model = precision.converted(model, dtype)
        self._recipe = recipe
        self._analysis = analysis
        self._manifest = manifest

    def train_step(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """One step; outputs as `fedrela.core.bundle.Program` lists them."""
        with precision.constants_in(self._dtype):
            return self._train_step(inputs)

    def _train_step(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        tensors = self._tensors(inputs)
        model = self._load(tensors)
        self._analysis.training_mode(model)
        parameters = self._analysis.parameters(model)
        counted = torch.nonzero(tensors["sample_weight"] > 0)[:, 0]
        weight, y = tensors["sample_weight"][counted], tensors["y"][counted]
        losses, logits = self._losses(model, tensors, counted, y)
        objective = (losses * weight).sum() / weight.sum()
        if self._recipe.proximal:
            for name, value in parameters.items():
                objective = objective + tensors["proximal"] / 2 * (value - tensors[f"anchor.{name}"]).square().sum()
        grads = torch.autograd.grad(objective, list(parameters.values()), allow_unused=True)
        for value, grad in zip(parameters.values(), grads, strict=True):
            value.grad = grad  # None: torch.optim leaves it as it is
        state = _optimizer_step(self._recipe.optimizer.name, parameters, tensors)
        outputs = {f"new.{name}": value for name, value in (parameters | self._analysis.buffers(model) | state).items()}
        outputs["loss_sum"] = (losses * weight).sum()
        outputs["correct_sum"] = ((logits[:, : self._recipe.classes].argmax(1) == y) * weight).sum()
        outputs["weight_sum"] = weight.sum()
        order = self._manifest.train_step.outputs
        return {name: outputs[name].detach().numpy() for name in order}  # all made here: none is an input's memory

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Class probabilities in evaluation mode."""
        tensors = self._tensors(inputs)
        model = self._load(tensors)
        model.eval()
        with torch.no_grad(), precision.constants_in(self._dtype):
            logits = self._logits(model, tensors, torch.arange(len(tensors[self._recipe.inputs[0].name])))
        return {"probabilities": torch.softmax(logits, 1).numpy()}

    def relabel(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The numpy specification."""
        result = specification.relabel(
            inputs["probabilities"],
            inputs["labels"],
            inputs["uniforms"],
            threshold_percent=float(inputs["threshold_percent"]),
        )
        return {"new_labels": result.labels, "flip_rate": result.flip_rate.astype(np.float32)}

    def _tensors(self, inputs: Mapping[str, Array]) -> dict[str, Tensor]:
        """The inputs as tensors, in their own memory where they may be: to be read alone."""
        tensors = {name: _shared(np.asarray(value)) for name, value in inputs.items()}
        return {name: t.to(self._dtype) if t.is_floating_point() else t for name, t in tensors.items()}

    def _load(self, tensors: Mapping[str, Tensor]) -> nn.Module:
        """A copy of the model that holds copies of `tensors`; its own are not copied first."""
        own = self._state(self._model)
        fresh = {name: _of_kind(value, tensors[name]) for name, value in own.items() if _plain(value)}
        memo: dict[int, object] = {id(own[name]): value for name, value in fresh.items()}
        model = copy.deepcopy(self._model, memo)
        with torch.no_grad():
            for name, tensor in self._state(model).items():
                if tensor is not fresh.get(name):  # a kind of its own, or a module that copies itself
                    tensor.copy_(tensors[name])
        return model

    def _state(self, model: nn.Module) -> dict[str, Tensor]:
        return self._analysis.parameters(model) | self._analysis.buffers(model)

    def _losses(
        self, model: nn.Module, tensors: Mapping[str, Tensor], counted: Tensor, y: Tensor
    ) -> tuple[Tensor, Tensor]:
        loss = self._recipe.loss
        logits = self._logits(model, tensors, counted)
        loss_arguments = {name: tensors[name] for name in loss.hyperparameters}
        if loss.needs_prior:
            loss_arguments["class_prior"] = tensors["class_prior"]
        losses = F.cross_entropy(logits, y, reduction="none") if loss.name == "cross-entropy" else None
        return (loss.function(logits, y, **loss_arguments) if losses is None else losses), logits

    def _logits(self, model: nn.Module, tensors: Mapping[str, Tensor], counted: Tensor) -> Tensor:
        """The model's logits for the examples at `counted`."""
        augment = {name: tensors[name][counted] for name in self._recipe.augmentation_randoms()}
        raws = self._recipe.inputs
        xs = {raw.name: self._recipe.pipeline(raw, tensors[raw.name][counted], augment) for raw in raws}
        xs = {name: x.to(self._dtype) if x.is_floating_point() else x for name, x in xs.items()}
        queue = []
        if model.training:
            for request in self._analysis.randoms:
                values = tensors[request.name]
                values = values.index_select(0, counted) if "B" in request.shape else values.clone()
                queue.append(request.as_asked(values))
        arguments, named = model_arguments(self._recipe.inputs, xs)
        with without_detours(), Supplied(lambda shape: queue.pop(0).reshape(shape), self._dtype):
            logits: Tensor = model(*arguments, **named)
        return logits


def _shared(array: Array) -> Tensor:
    own = array.flags.writeable and array.flags.c_contiguous
    return torch.from_numpy(array) if own else torch.tensor(array)


def _plain(value: Tensor) -> bool:
    return type(value) in (Tensor, nn.Parameter) and value.is_contiguous()


def _of_kind(value: Tensor, given: Tensor) -> Tensor:
    """A copy of `given`: a parameter if `value` is one."""
    made = given.detach().clone()
    return nn.Parameter(made, requires_grad=value.requires_grad) if isinstance(value, nn.Parameter) else made


def _optimizer_step(name: str, parameters: dict[str, Tensor], tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """One step of torch.optim from the given state, in place; the new state by its manifest names."""
    values = list(parameters.values())
    lr, decay = float(tensors["lr"]), float(tensors["weight_decay"])
    if name == "adamw":
        betas = (float(tensors["beta1"]), float(tensors["beta2"]))
        adam = torch.optim.AdamW(values, lr, betas, float(tensors["adam_epsilon"]), decay, foreach=False)
        for key, value in parameters.items():
            adam.state[value] = {
                "step": tensors["adam_step"].clone(),
                "exp_avg": tensors[f"adam_mean.{key}"].clone(),
                "exp_avg_sq": tensors[f"adam_square.{key}"].clone(),
            }
        adam.step()
        means = {f"adam_mean.{key}": adam.state[value]["exp_avg"] for key, value in parameters.items()}
        squares = {f"adam_square.{key}": adam.state[value]["exp_avg_sq"] for key, value in parameters.items()}
        return {"adam_step": max(adam.state[value]["step"] for value in values)} | means | squares
    momentum = float(tensors["momentum"]) if name != "plain-sgd" else 0.0
    nesterov = name == "nesterov" and momentum > 0
    sgd = torch.optim.SGD(values, lr, momentum, weight_decay=decay, nesterov=nesterov, foreach=False)
    if not momentum:  # torch keeps no buffer then; the graph's is the gradient
        momenta = {
            f"momentum.{key}": tensors[f"momentum.{key}"] if value.grad is None else value.grad + decay * value.detach()
            for key, value in parameters.items()
        }
        sgd.step()
        return {} if name == "plain-sgd" else momenta
    for key, value in parameters.items():
        sgd.state[value] = {"momentum_buffer": tensors[f"momentum.{key}"].clone()}
    sgd.step()
    return {f"momentum.{key}": sgd.state[value]["momentum_buffer"] for key, value in parameters.items()}
