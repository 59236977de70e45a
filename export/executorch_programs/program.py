"""A traced program as the bytes of a .pte file that stock ExecuTorch runs: portable and optimized kernels only.

The weights are inputs, so one program serves for ever. `lower` checks that every operator has a kernel in the runtime
before it writes anything.

    program = trace(step, examples, shapes, table=forms.table())
    Path("train_step.pte").write_bytes(lower(program, max_batch=32))
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.fx.experimental.symbolic_shapes import optimization_hint
from torch.utils._sympy.value_ranges import ValueRanges

from fedrela.core.errors import InvalidBundle, UnsupportedOperation
from fedrela.core.pte_files import rules
from fedrela.export.executorch_programs import forms, layer_norm, loops, operands
from fedrela.export.executorch_programs.copies import without_copies
from fedrela.export.tracing import trace

MIN_RUNTIME_VERSION = "1.4.0"
METHOD = "forward"


def lower(flat: torch.export.ExportedProgram, *, max_batch: int) -> bytes:
    """The .pte of a program, whose open dimension takes 1 to `max_batch`; its one method is METHOD.

    The same program gives the same bytes; its graph is changed on the way. Raises UnsupportedOperation for an operator
    without a kernel.
    """
    from executorch.exir import ExecutorchBackendConfig
    from executorch.exir.memory_planning import MemoryPlanningAlgorithmSuite
    from executorch.exir.passes import MemoryPlanningPass
    from executorch.exir.passes.sym_shape_eval_pass import ConstraintBasedSymShapeEvalPass

    from fedrela.export.executorch_programs import emission, memory
    from fedrela.export.executorch_programs.shortcuts import shortcuts

    with quiet(), torch.no_grad(), shortcuts():
        _bound(flat, max_batch)
        edge = _edge(flat)
        loops.put_in(edge.exported_program(), lambda step: _edge(step).exported_program().graph_module, forms.table())
        for module in edge.exported_program().graph_module.modules():
            check_kernels(module)
        config = ExecutorchBackendConfig(
            sym_shape_eval_pass=ConstraintBasedSymShapeEvalPass(),
            memory_planning_pass=MemoryPlanningPass(MemoryPlanningAlgorithmSuite([memory.plan])),
        )
        with emission.loops():
            body = bytes(edge.to_executorch(config).buffer)
        _check_admitted(body)
        return body


def _edge(flat: torch.export.ExportedProgram) -> Any:
    """The program in the edge dialect, without what needn't be computed."""
    from fedrela.export.executorch_programs.edge import to_edge

    layer_norm.center(flat.graph)
    operands.suit(flat.graph)
    without_copies(flat)
    _compute_once(flat.graph_module)
    return to_edge(flat, METHOD)


def _bound(program: torch.export.ExportedProgram, max_batch: int) -> None:
    """Memory is planned for the largest batch, so every open dimension needs one."""
    for node in program.graph.find_nodes(op="placeholder"):
        for size in getattr(node.meta["val"], "shape", ()):
            if isinstance(size, torch.SymInt):
                symbol = size.node.expr
                ranges = size.node.shape_env.var_to_range
                lower, upper = ranges[symbol].lower, min(ranges[symbol].upper, max_batch)
                ranges[symbol] = program.range_constraints[symbol] = ValueRanges(lower, upper)


def _compute_once(module: torch.fx.GraphModule) -> None:
    """Merge equal nodes, such as the windows that a pooling layer and its gradient both need.

    Copies that multiply the data (a convolution's columns) are made anew: keeping them costs more memory than time.
    """
    known: dict[Any, torch.fx.Node] = {}
    for node in list(module.graph.nodes):
        drawn = torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())
        if node.op != "call_function" or drawn or _multiplies(node):
            continue
        key = (node.target, _hashable(node.args), _hashable(node.kwargs))
        if key in known:
            node.replace_all_uses_with(known[key])
            module.graph.erase_node(node)
        else:
            known[key] = node
    module.recompile()


def _multiplies(node: torch.fx.Node) -> bool:
    """Whether a strided copy has more elements than what it copies; such a copy of constants is small all the same."""
    if node.target is not torch.ops.aten.as_strided_copy.default:
        return False
    source, result = (item.meta["val"] for item in (node.all_input_nodes[0], node))
    return optimization_hint(result.numel()) > optimization_hint(source.numel())


def _hashable(value: Any) -> Any:
    """Nested lists and dicts as tuples; a symbolic size by its expression, a number together with its type."""
    if isinstance(value, list | tuple):
        return tuple(_hashable(item) for item in value)
    if isinstance(value, dict):
        return tuple((key, _hashable(item)) for key, item in sorted(value.items()))
    if isinstance(value, torch.fx.Node):
        return value
    return (type(value).__name__, str(value))


def _check_admitted(body: bytes) -> None:
    """Raise UnsupportedOperation for a program that no device would load."""
    try:
        rules.check(body, METHOD)
    except InvalidBundle as fault:
        raise UnsupportedOperation(
            f"no device would load it: {fault.problem}",
            remedy="export for ONNX only (--runtime onnx), or use another layer (see docs/layers.md), or fewer",
        ) from fault


def check_kernels(program: torch.export.ExportedProgram | torch.fx.GraphModule) -> None:
    """Raise UnsupportedOperation unless the runtime has a kernel for every operator of an edge program or graph."""
    from executorch.exir.dialects.edge._ops import EdgeOpOverload
    from executorch.runtime import Runtime

    kernels = Runtime.get().operator_registry.operator_names
    for node in program.graph.nodes:
        if node.op != "call_function" or not isinstance(node.target, EdgeOpOverload):
            continue
        if not _kernel_names(node.target) & kernels:
            raise UnsupportedOperation(
                f"ExecuTorch has no kernel for {node.target._op}{_origin(node)}",
                remedy="export for ONNX only (--runtime onnx), or use another layer (see docs/layers.md)",
            )


def _kernel_names(target: Any) -> set[str]:
    """Names under which the runtime may know the kernel of a functional operator."""
    from executorch.exir.operator.convert import to_out_variant

    try:
        out, _ = to_out_variant(target._op)
    except (RuntimeError, AssertionError):
        return set()
    schema = out._schema
    return {f"{schema.name}.{schema.overload_name}"}


def _origin(node: torch.fx.Node) -> str:
    """The module that a node came from, as far as the trace recorded it."""
    stack = node.meta.get("nn_module_stack") or {}
    paths = [path for path, _ in stack.values() if path]
    return f" (in {paths[-1]})" if paths else ""


@contextmanager
def quiet() -> Iterator[None]:
    """ExecuTorch's passes warn and log of what concerns only their authors."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with trace.quiet():
            yield
    finally:
        logging.disable(before)
