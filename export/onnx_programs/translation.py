"""From a flat program's operators to ONNX: torch's own forms and ours, looked up once for all programs of a process.

`torch.onnx.export` does the same in four more steps for each program: it traces it again to take operators apart (which
`table` has done here), looks through all of its forms, and parses the source of each of its 500 functions.

    model = translate(program, constant_weights=False)
"""

from collections.abc import Iterator
from contextlib import nullcontext
from functools import cache
from typing import Any
from unittest.mock import patch

import onnx
import torch
from onnxscript import rewriter
from onnxscript.function_libs.torch_lib import ops, registration
from onnxscript.rewriter.rules.common import _fuse_relus_clips, _min_max_to_clip
from torch._dispatch.python import enable_python_dispatcher
from torch.fx import traceback as fx_traceback
from torch.onnx._internal.exporter import _core
from torch.onnx._internal.exporter._decomp import create_onnx_friendly_decomposition_table
from torch.onnx._internal.exporter._registration import OnnxDecompMeta, ONNXRegistry, _get_overload
from torch.onnx._internal.exporter._torchlib._torchlib_registry import get_torchlib_ops
from torch.onnx._internal.fx.passes import type_promotion

from fedrela.export.onnx_programs import forms
from fedrela.export.onnx_programs.shortcuts import shortcuts
from fedrela.export.tracing.trace import Table, decompositions

aten = torch.ops.aten
OPSET = 18


@cache
def table() -> Table:
    """What operators become that have no ONNX form: ours first, then what torch's ONNX exporter would do."""
    own = decompositions(frozenset(forms.table()))
    registered = {metas[0].fx_target for metas in _registry(constant_weights=False).functions.values()}
    theirs = create_onnx_friendly_decomposition_table(registered)
    # Whole, they tell the tracer that a tensor is a constant: a slice may end at its value.
    whole = {aten.lift_fresh.default, aten.lift_fresh_copy.default}
    return {operator: made for operator, made in theirs.items() if operator not in whole} | dict(own)


def translate(program: torch.export.ExportedProgram, *, constant_weights: bool) -> onnx.ModelProto:
    """The optimized model, its nodes named by torch. Raises torch.onnx.errors.OnnxExporterError."""
    _Promoting(program.graph_module, _promotions()).run_in_mode()
    model = _optimized(program, constant_weights)
    if _lacks_a_value(model.graph):
        with patch.object(rewriter, "_DEFAULT_REWRITE_RULES", _without_clips()):
            model = _optimized(program, constant_weights)
    return model


def _optimized(program: torch.export.ExportedProgram, constant_weights: bool) -> onnx.ModelProto:
    with shortcuts():
        made = _core._exported_program_to_onnx_program(program, registry=_registry(constant_weights=constant_weights))
        made.optimize()
        return made.model_proto


def _lacks_a_value(graph: onnx.GraphProto) -> bool:
    """Whether a node of the graph reads what nothing makes."""
    made = {value.name for value in (*graph.input, *graph.initializer)}
    made |= {output for node in graph.node for output in node.output}
    return any(name and name not in made for node in graph.node for name in node.input)


def _without_clips() -> tuple[Any, ...]:
    """onnxscript's rules but those that make one clip of two: where a value is clipped so at several places, they give
    the bounds one name and lose all but one.
    """
    lossy = {id(rule) for rule in (*_min_max_to_clip.rules, *_fuse_relus_clips.rules)}
    return tuple(rule for rule in rewriter._DEFAULT_REWRITE_RULES if id(rule) not in lossy)


class _Promoting(type_promotion._TypePromotionInterpreter):
    """torch's pass that writes out conversions of type, without running the operators that need none once more."""

    def run_in_mode(self) -> None:
        """Change the graph."""
        graph: Any = self.module.graph
        values = [node.meta["val"] for node in graph.nodes if "val" in node.meta]
        mode = torch._guards.detect_fake_mode(values)
        with mode or nullcontext(), enable_python_dispatcher(), fx_traceback.preserve_node_meta():
            self.run(*(node.meta["val"] for node in graph.find_nodes(op="placeholder")))

    def run_node(self, n: torch.fx.Node) -> Any:
        with self._set_current_node(n):
            rule = type_promotion.get_type_promotion_rule(n, self.type_promotion_table)
            if rule is not None:
                self._maybe_promote_node(n, rule)
        return n.meta["val"] if "val" in n.meta else torch.fx.Interpreter.run_node(self, n)


@cache
def _promotions() -> Any:
    return type_promotion.TypePromotionTable()


@cache
def _registry(*, constant_weights: bool) -> ONNXRegistry:
    registry = ONNXRegistry()
    registry._opset_version = OPSET
    registry.functions = {name: list(metas) for name, metas in _torchs().functions.items()}
    for operator, form in forms.table(constant_weights=constant_weights).items():
        registry.register_op(operator, form)
    return registry


@cache
def _torchs() -> ONNXRegistry:
    """`ONNXRegistry.from_torchlib`, without what it asks and never uses."""
    registry = ONNXRegistry()
    registry._opset_version = OPSET
    for meta in (*get_torchlib_ops(), *_onnxscripts()):
        registry._register(meta.fx_target, meta)
    registry._cleanup_registry_based_on_opset_version()
    return registry


def _onnxscripts() -> Iterator[OnnxDecompMeta]:
    assert ops  # importing it fills the registry
    for name, functions in registration.default_registry.items():
        known: Any = None if name.startswith(("internal::", "torchvision::")) else _get_overload(name)
        for function in (*functions.overloads, *functions.complex) if known is not None else ():
            is_complex = function in functions.complex
            yield OnnxDecompMeta(onnx_function=function, fx_target=known, signature=None, is_complex=is_complex)
