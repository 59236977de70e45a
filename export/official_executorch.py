"""ExecuTorch's own training layout: a .pte and a .ptd for its `TrainingModule` and `SGD`, in Python, Kotlin and C++.

    forward.pte   method "forward": (x..., y, weight, randoms...) -> loss, correct_sum, probabilities, then what
                  TrainingModule takes for itself: gradients and parameters. Weight-independent.
    weights.ptd   the parameters, by their names in the model

ExecuTorch's recipe is followed (export, joint graph, lowering), except that the backward operators take this package's
forms before they are lowered: its own kernels give wrong gradients below a max-pooling layer and lack several others.
The loss is the weighted mean, so padding with weight 0 counts nowhere. May import torch, executorch, `core` and this
package.

    write(model, recipe, Path("official"))
"""

import copy
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from core import golden
from core.bundle import Golden, Manifest, Program, ProgramInput
from core.errors import InvalidInput, MissingDependency, UnsupportedOperation, VerificationFailed
from core.tensors import Array
from export import executorch_forms, program
from export.executorch_program import DEFAULT_MAX_BATCH, check_kernels, quiet
from export.lowering import examples
from export.program import Definition, model_arguments
from export.recipe import Recipe
from export.reference import Reference
from export.rewriting import Rewriting
from export.survey import Survey

PROGRAM, WEIGHTS = "forward.pte", "weights.ptd"
METHOD = "forward"
FED = ("x", "y", "weight", "random", "class_prior")  # roles that the method takes, in the order of train_step


@dataclass(frozen=True)
class Official:
    """What was written: the method's inputs in order, and the relative error of each golden output."""

    program: Path
    weights: Path
    inputs: tuple[ProgramInput, ...]
    errors: dict[str, float]


def write(
    model: nn.Module,
    recipe: Recipe,
    folder: Path,
    *,
    max_batch: int = DEFAULT_MAX_BATCH,
    report: Callable[[str], None] = lambda stage: None,
) -> Official:
    """Write forward.pte and weights.ptd to `folder`, after ExecuTorch's TrainingModule and SGD passed the golden steps.

    Raises UnsupportedOperation for what this layout can't hold, VerificationFailed where a tensor differs.
    """
    _check(recipe)
    survey = Survey.of(model, recipe)
    if survey.changed:
        raise UnsupportedOperation(
            f"training changes {survey.changed[0]}, and TrainingModule gives no access to running statistics",
            remedy="use GroupNorm, or the bundle layout (--format bundle), where they are state like any other",
        )
    definition = program.build(model, recipe, survey)["train_step"]
    fed = tuple(item for item in definition.inputs if item.role in FED)
    report("tracing the joint graph and lowering it")
    body, weights = _lower(_loss_module(model, recipe, survey, fed), definition, fed, max_batch)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=folder) as scratch:
        paths = Path(scratch) / PROGRAM, Path(scratch) / WEIGHTS
        for path, content in zip(paths, (body, weights), strict=True):
            path.write_bytes(content)
        report("verifying: golden steps with TrainingModule and SGD")
        errors = verify(model, recipe, survey, definition, paths)
        for path in paths:
            shutil.move(path, folder / path.name)
    return Official(folder / PROGRAM, folder / WEIGHTS, fed, errors)


def verify(
    model: nn.Module, recipe: Recipe, survey: Survey, definition: Definition, files: tuple[Path, Path]
) -> dict[str, float]:
    """Run the golden steps from the two files as an app would. Raises VerificationFailed naming what differs first."""
    manifest = _manifest(recipe, program.build(model, recipe, survey))
    reference = Reference(model, recipe, survey, manifest)
    session = _Session(files)
    session.check_start({name: value.detach().numpy() for name, value in survey.parameters(model).items()})
    given = golden.inputs(manifest, "train_step", 0)
    carried: dict[str, Array] = {}
    errors: dict[str, float] = {}
    for step in range(manifest.golden.steps):
        given = golden.inputs(manifest, "train_step", step) | carried
        expected = reference.train_step(given)
        fed = [given[item.name] for item in definition.inputs if item.role in FED]
        if step == 0:
            session.begin({name: given[name] for name in survey.trainable}, fed, given, recipe.optimizer.name)
        actual = session.step(fed)
        actual["loss_sum"] = actual.pop("loss") * given["weight"].sum()
        carried = {name.removeprefix("new."): value for name, value in expected.items() if name.startswith("new.")}
        for name, value in actual.items():
            before = given[name.removeprefix("new.")] if name.startswith("new.") else 0.0
            errors[f"train_step.{step}.{name}"] = golden.relative_error(expected[name], value, before)
    _judge(errors, manifest)
    return errors


class _Session:
    """The files in ExecuTorch's TrainingModule, with its SGD. What an app does, line by line."""

    def __init__(self, files: tuple[Path, Path]) -> None:
        try:
            with quiet():
                from executorch.extension.pybindings.portable_lib import _load_for_executorch
                from executorch.extension.training import TrainingModule, get_sgd_optimizer
        except ImportError as error:
            raise MissingDependency(
                f"ExecuTorch's training extension can't be loaded ({error})", remedy="pip install executorch==1.4.1"
            ) from error
        with quiet():
            self._module = TrainingModule(_load_for_executorch(str(files[0]), str(files[1])))
        self._make_optimizer = get_sgd_optimizer
        self._optimizer: Any = None
        self._started = False

    def check_start(self, weights: Mapping[str, Array]) -> None:
        """Hold the model's weights against those of weights.ptd, by name and shape, once they can be read."""
        self._expected_start = weights

    def begin(
        self, parameters: Mapping[str, Array], fed: list[Array], settings: Mapping[str, Array], name: str
    ) -> None:
        """Start from `parameters`; the module shows its own only after a first pass, and shares their memory."""
        self._forward(fed)
        named = self._module.named_parameters()
        if set(named) != set(parameters):
            raise VerificationFailed(
                f"TrainingModule has the parameters {sorted(named)[:5]}, the model {sorted(parameters)[:5]}",
                remedy="report this model; use the bundle layout until then",
            )
        for key, tensor in named.items():
            if not np.array_equal(tensor.numpy(), self._expected_start[key]):
                raise VerificationFailed(f"{WEIGHTS} holds another {key} than the model", remedy="export again")
            tensor.copy_(torch.from_numpy(np.array(parameters[key])))
        momentum = float(settings.get("momentum", np.float32(0)))
        decay, nesterov = float(settings["weight_decay"]), name == "nesterov"
        self._optimizer = self._make_optimizer(named, float(settings["lr"]), momentum, 0.0, decay, nesterov)

    def step(self, fed: list[Array]) -> dict[str, Array]:
        """One training step; the new parameters, loss and count."""
        loss, correct, _ = self._forward(fed)
        self._optimizer.step(self._module.named_gradients())
        new = {f"new.{name}": np.array(value) for name, value in self._module.named_parameters().items()}
        return new | {"loss": np.array(loss), "correct_sum": np.array(correct)}

    def _forward(self, fed: list[Array]) -> list[Tensor]:
        tensors = [torch.from_numpy(np.array(value)) for value in fed]
        outputs: list[Tensor] = self._module.forward_backward(METHOD, tensors)
        return outputs


def _check(recipe: Recipe) -> None:
    if recipe.optimizer.name == "adamw":
        raise InvalidInput("ExecuTorch's training extension has SGD only", remedy="use --optimizer sgd or nesterov")
    if recipe.proximal or recipe.loss.hyperparameters:
        raise InvalidInput(
            "this layout's loss has no settings of its own", remedy="leave --proximal out and take a loss without any"
        )


def _loss_module(model: nn.Module, recipe: Recipe, survey: Survey, fed: tuple[ProgramInput, ...]) -> nn.Module:
    """A copy of `model` whose forward gives (loss, correct_sum, probabilities); parameters keep their names."""
    own = copy.deepcopy(model)
    survey.training_mode(own)
    for name, parameter in own.named_parameters():
        parameter.requires_grad_(name in survey.trainable)
    logits_of, names = own.forward, [item.name for item in fed]

    def forward(*values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        given = dict(zip(names, values, strict=True))
        queue = [given[request.name] for request in survey.randoms]
        xs = {raw.name: recipe.pipeline(raw, given[raw.name], given) for raw in recipe.inputs}
        arguments, named = model_arguments(recipe.inputs, xs)
        with Rewriting(given["weight"], lambda shape: queue.pop(0).reshape(shape)):
            logits = logits_of(*arguments, **named)
        prior = {"class_prior": given["class_prior"]} if recipe.loss.needs_prior else {}
        losses = recipe.loss.function(logits, given["y"], **prior)
        loss = (losses * given["weight"]).sum() / torch.clamp(given["weight"].sum(), min=1e-12)
        correct = ((logits.detach().argmax(1) == given["y"]).to(torch.float32) * given["weight"]).sum()
        return loss, correct, torch.softmax(logits.detach(), 1)

    own.forward = forward  # type: ignore[method-assign]
    return own


def _lower(
    module: nn.Module, definition: Definition, fed: tuple[ProgramInput, ...], max_batch: int
) -> tuple[bytes, bytes]:
    """(.pte, .ptd) of a module whose first output is the loss."""
    from executorch.exir import EdgeCompileConfig, ExecutorchBackendConfig, to_edge
    from executorch.exir.passes.sym_shape_eval_pass import ConstraintBasedSymShapeEvalPass
    from torch.export.experimental import _export_forward_backward

    by_name = dict(zip([item.name for item in definition.inputs], examples(definition), strict=True))
    batch = torch.export.Dim("B", min=1, max=max_batch)
    dynamic = tuple({item.shape.index("B"): batch} if "B" in item.shape else {} for item in fed)
    with quiet(), sdpa_kernel(SDPBackend.MATH), torch.backends.mkldnn.flags(enabled=False):
        exported = torch.export.export(
            module, tuple(by_name[item.name] for item in fed), dynamic_shapes=(dynamic,), strict=False
        )
        joint = _export_forward_backward(exported, joint_loss_index=0)
        flat = joint.run_decompositions(executorch_forms.table())
        _copy_before_views(flat)
        edge = to_edge(flat, compile_config=EdgeCompileConfig(_check_ir_validity=False))
        check_kernels(edge.exported_program())
        config = ExecutorchBackendConfig(
            external_mutable_weights=True, sym_shape_eval_pass=ConstraintBasedSymShapeEvalPass()
        )
        lowered = edge.to_executorch(config)
    (weights,) = lowered._tensor_data.values()
    return bytes(lowered.buffer), bytes(weights)


def _copy_before_views(exported: torch.export.ExportedProgram) -> None:
    """Give every parameter that is reshaped a copy to reshape: memory outside the program can't be viewed."""
    parameters = set(exported.graph_signature.inputs_to_parameters)
    views = (torch.ops.aten.view.default, torch.ops.aten.squeeze.dims, torch.ops.aten.unsqueeze.default)
    for node in exported.graph.find_nodes(op="placeholder"):
        users = [user for user in node.users if user.target in views] if node.name in parameters else []
        if users:
            value = node.meta["val"]
            with exported.graph.inserting_before(users[0]):
                copied = exported.graph.call_function(
                    torch.ops.aten.as_strided_copy.default, (node, list(value.shape), list(value.stride()), 0)
                )
            copied.meta["val"] = value.clone()
            for user in users:
                user.replace_input_with(node, copied)
    exported.graph_module.recompile()


def _manifest(recipe: Recipe, definitions: Mapping[str, Definition]) -> Manifest:
    """What the golden steps need to know of the model; it names no file."""
    limit = max((raw.token_limit for raw in recipe.inputs), default=0)
    return Manifest(
        name=recipe.name,
        classes=recipe.classes,
        golden=Golden("", "", 0, token_limit=limit),
        optimizer=recipe.optimizer.name,
        hyperparameters=recipe.hyperparameters(),
        **{name: Program(item.inputs, item.outputs, ()) for name, item in definitions.items()},
    )


def _judge(errors: Mapping[str, float], manifest: Manifest) -> None:
    for name, error in errors.items():
        if not error <= manifest.golden.tolerance:
            raise VerificationFailed(
                f"ExecuTorch's TrainingModule: {name} differs from eager PyTorch by {error:.2g}",
                remedy="nothing was written; report the model, or use the bundle layout",
            )
