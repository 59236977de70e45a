"""From ATen to ExecuTorch's edge dialect in one pass over the operators.

The package's own `to_edge` decomposes a program again, which finds nothing here, and makes a pass for each thing that
it changes. Each of a dozen passes runs every operator on fake tensors: most of the time that a lowering takes. Here the
same passes' rules are applied to an operator one after the other.

    edge = to_edge(program, METHOD)
    body = bytes(edge.to_executorch(config).buffer)
"""

from typing import Any

import torch
from executorch.exir import EdgeCompileConfig, EdgeProgramManager
from executorch.exir.passes import base_post_op_replace_passes
from executorch.exir.passes.convert_constant_dim_order_pass import convert_constant_dim_order_pass
from executorch.exir.passes.legalize_portable_dim_order_pass import LegalizePortableDimOrderPass
from executorch.exir.passes.memory_format_ops_pass import MemoryFormatOpsPass
from executorch.exir.passes.normalize_transpose_pass import NormalizeTransposePass
from executorch.exir.passes.prune_empty_tensors_pass import PruneEmptyTensorsPass
from executorch.exir.passes.remove_graph_asserts_pass import RemoveNonCoreAtenOpGraphAssertsPass
from executorch.exir.passes.remove_mixed_type_operators import RemoveMixedTypeOperators
from executorch.exir.passes.remove_noop_pass import RemoveNoopPass, RemoveToCopyPass
from executorch.exir.passes.remove_unused_parameters_pass import remove_unused_parameters_pass
from executorch.exir.passes.replace_aten_with_edge_pass import OpReplacePass
from executorch.exir.passes.replace_broken_ops_with_function_ops_pass import ReplaceBrokenOpsWithFunctionalOpsPass
from executorch.exir.passes.replace_sym_size_op_pass import ReplaceSymSizeOpPass
from executorch.exir.passes.scalar_to_tensor_pass import ScalarToTensorPass
from executorch.exir.passes.sym_to_tensor_pass import SymToTensorPass
from executorch.exir.program._program import (
    _get_updated_graph_signature,
    _transform,
    lift_constant_tensor_pass,
)
from executorch.exir.verification.verifier import EXIREdgeDialectVerifier
from torch._export.passes.replace_view_ops_with_view_copy_ops_pass import get_view_copy_of_view_op
from torch.export import ExportedProgram

from fedrela.export.executorch_programs import whole_linear


class _InOneGo(  # in the order in which an operator goes through them; the package has no types
    NormalizeTransposePass,  # type: ignore[misc]
    ReplaceBrokenOpsWithFunctionalOpsPass,  # type: ignore[misc]
    ScalarToTensorPass,  # type: ignore[misc]
    SymToTensorPass,  # type: ignore[misc]
    RemoveMixedTypeOperators,  # type: ignore[misc]
    OpReplacePass,  # type: ignore[misc]
    MemoryFormatOpsPass,  # type: ignore[misc]
    LegalizePortableDimOrderPass,  # type: ignore[misc]
):
    """Each gives the operator that it made to the next one."""


def to_edge(flat: ExportedProgram, method: str) -> Any:
    """An `EdgeProgramManager` of a program that `forms.table` has decomposed, with one `method`."""
    for node in flat.graph.nodes:  # a pass would copy what each was made from, and add to it
        node.meta.pop("from_node", None)
    program = remove_unused_parameters_pass(flat)
    module = program.graph_module
    whole_linear.name_it(module)
    _copy_views(module)
    for step in (
        RemoveNonCoreAtenOpGraphAssertsPass(),
        ReplaceSymSizeOpPass(),
        RemoveNoopPass(),
        PruneEmptyTensorsPass(),
        RemoveToCopyPass(),
        _InOneGo(),
    ):
        module = step(module).graph_module
    # What is skipped here has been done: it is the last of the passes above.
    config = EdgeCompileConfig(_check_ir_validity=False, _skip_dim_order=True)
    edge = ExportedProgram(
        root=module,
        graph=module.graph,
        graph_signature=_get_updated_graph_signature(program.graph_signature, module),
        state_dict=program.state_dict,
        range_constraints=program.range_constraints,
        module_call_graph=program.module_call_graph,
        example_inputs=program.example_inputs,
        constants=program.constants,
        verifiers=[EXIREdgeDialectVerifier(edge_compile_config=config, class_only=True)],
    )
    edge = convert_constant_dim_order_pass(lift_constant_tensor_pass(edge))
    return EdgeProgramManager({method: _transform(edge, *base_post_op_replace_passes)}, compile_config=config)


def _copy_views(module: torch.fx.GraphModule) -> None:
    """Memory is planned ahead, so that every view is a copy; those that can be views are found again later."""
    for node in module.graph.nodes:
        if isinstance(node.target, torch._ops.OpOverload):
            node.target = get_view_copy_of_view_op(node.target._schema) or node.target
