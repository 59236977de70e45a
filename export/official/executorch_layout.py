"""ExecuTorch's own training layout: a .pte and a .ptd for its `TrainingModule` and `SGD`, in Python, Kotlin and C++.

    forward.pte   method "forward": (x..., y, weight, randoms..., running statistics...) -> loss, correct_sum,
                  probabilities, new running statistics..., then what TrainingModule takes for itself: gradients and
                  parameters. Weight-independent.
    weights.ptd   the parameters, by their names in the model
    statistics.safetensors   running statistics for the first step, where the model has any

ExecuTorch's recipe is followed (export, joint graph, lowering), except that the backward operators take this package's
forms before they are lowered: its own kernels give wrong gradients below a max-pooling layer and lack several others.
The loss is the weighted mean, so padding with weight 0 counts nowhere.

    write(model, recipe, Path("official"))
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from fedrela.core.errors import InvalidInput, MissingDependency, VerificationFailed
from fedrela.core.tensors import Array
from fedrela.export import output_folder
from fedrela.export.executorch_programs import forms
from fedrela.export.executorch_programs.program import METHOD, check_kernels, quiet
from fedrela.export.limits import DEFAULT_MAX_BATCH, check_max_batch
from fedrela.export.lowering import examples
from fedrela.export.official import forward, golden
from fedrela.export.official.forward import Plan, Written
from fedrela.export.official.golden import GoldenStep
from fedrela.export.recipe import Recipe
from fedrela.export.tracing.refusals import refusals

PROGRAM, WEIGHTS = "forward.pte", "weights.ptd"


@refusals("the model")
def write(
    model: nn.Module,
    recipe: Recipe,
    folder: Path,
    *,
    max_batch: int = DEFAULT_MAX_BATCH,
    overwrite: bool = False,
    report: Callable[[str], None] = lambda stage: None,
) -> Written:
    """Write forward.pte and weights.ptd to `folder`, after TrainingModule and SGD passed the golden steps with them.

    Raises InvalidInput where the folder is in use, UnsupportedOperation for what this layout can't hold,
    VerificationFailed where a tensor differs.
    """
    output_folder.check(folder, (PROGRAM, WEIGHTS, forward.STATISTICS), overwrite=overwrite)
    if recipe.optimizer.name == "adamw":
        raise InvalidInput("ExecuTorch's training extension has SGD only", remedy="use --optimizer sgd or nesterov")
    check_max_batch(max_batch, ("executorch",))
    planned = forward.plan(model, recipe)
    report("executorch-training: tracing the joint graph and lowering it")
    contents = _lower(planned, max_batch)
    with output_folder.drafted(folder) as draft:
        program, weights = draft / PROGRAM, draft / WEIGHTS
        for path, content in zip((program, weights), contents, strict=True):
            path.write_bytes(content)
        report("executorch-training: golden steps with TrainingModule and SGD")
        errors = verify(planned, program, weights)
        made = (program, weights, *planned.write_statistics(draft))
    return Written(tuple(folder / path.name for path in made), planned.fed, errors)


def verify(planned: Plan, program: Path, weights: Path) -> dict[str, float]:
    """Run the golden steps from the two files as an app would. Raises VerificationFailed naming what differs first."""
    steps = golden.golden_steps(planned, {})
    session = _Session(planned, program, weights)
    session.begin(steps[0])
    tolerance = planned.manifest().golden.tolerance
    return golden.compare("executorch-training", steps, [session.step(step.inputs) for step in steps], tolerance)


class _Session:
    """The files in ExecuTorch's TrainingModule, with its SGD: what an app does, line by line."""

    def __init__(self, planned: Plan, program: Path, weights: Path) -> None:
        self._planned = planned
        self._statistics: dict[str, Array] = {}
        try:
            with quiet():
                from executorch.extension.pybindings.portable_lib import _load_for_executorch
                from executorch.extension.training import TrainingModule, get_sgd_optimizer

                self._module = TrainingModule(_load_for_executorch(str(program), str(weights)))
        except ImportError as error:
            raise MissingDependency(
                f"ExecuTorch's training extension can't be loaded ({error})", remedy="pip install executorch==1.4.1"
            ) from error
        self._make_optimizer = get_sgd_optimizer
        self._optimizer: Any = None

    def begin(self, first: GoldenStep) -> None:
        """Start from the golden parameters. The module shows its own after a first pass only, and shares memory."""
        inputs = first.inputs
        self._forward(inputs)
        named, own = self._module.named_parameters(), self._planned.start()
        if set(named) != set(own):
            raise VerificationFailed(
                f"TrainingModule has the parameters {sorted(named)[:5]}, the model {sorted(own)[:5]}",
                remedy="report this model; use --format bundle until then",
            )
        for key, tensor in named.items():
            if not np.array_equal(tensor.numpy(), own[key]):
                raise VerificationFailed(f"{WEIGHTS} holds another {key} than the model", remedy="export again")
            tensor.copy_(torch.from_numpy(np.array(inputs[key])))
        self._statistics = {name: inputs[name] for name in self._planned.statistics}
        momentum = float(inputs.get("momentum", np.float32(0)))
        nesterov = self._planned.recipe.optimizer.name == "nesterov"
        decay = float(inputs["weight_decay"])
        self._optimizer = self._make_optimizer(named, float(inputs["lr"]), momentum, 0.0, decay, nesterov)

    def step(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """One training step; the new parameters and statistics, loss and count."""
        outputs = self._forward({**inputs, **self._statistics})
        self._optimizer.step(self._module.named_gradients())
        self._statistics = {name: outputs[f"new.{name}"] for name in self._statistics}
        new = {f"new.{name}": np.array(value) for name, value in self._module.named_parameters().items()}
        return outputs | new

    def _forward(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        fed = [torch.from_numpy(np.array(inputs[item.name])) for item in self._planned.fed]
        outputs: list[Tensor] = self._module.forward_backward(METHOD, fed)
        return {name: np.array(value) for name, value in zip(self._planned.outputs, outputs, strict=True)}


def _lower(planned: Plan, max_batch: int) -> tuple[bytes, bytes]:
    """The bytes of the .pte and of the .ptd."""
    from executorch.exir import ExecutorchBackendConfig
    from executorch.exir.passes.sym_shape_eval_pass import ConstraintBasedSymShapeEvalPass
    from torch.export.experimental import _export_forward_backward

    from fedrela.export.executorch_programs.edge import to_edge

    by_name = dict(zip([item.name for item in planned.step.inputs], examples(planned.step), strict=True))
    values = tuple(by_name[item.name] for item in planned.fed)
    batch = torch.export.Dim("B", min=1, max=max_batch)
    dynamic = tuple({item.shape.index("B"): batch} if "B" in item.shape else {} for item in planned.fed)
    module = forward.loss_module(planned)
    with quiet(), sdpa_kernel(SDPBackend.MATH), torch.backends.mkldnn.flags(enabled=False):
        exported = torch.export.export(module, values, dynamic_shapes=(dynamic,), strict=False)
        joint = _export_forward_backward(exported, joint_loss_index=0)
        flat = joint.run_decompositions(forms.table())
        _copy_before_views(flat)
        edge = to_edge(flat, METHOD)
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
