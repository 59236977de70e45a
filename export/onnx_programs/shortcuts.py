"""The way from a flat program to ONNX without what onnxscript and torch's exporter do for nothing, over and over.

with shortcuts():
    made = ...  # translated and optimized: the same nodes, in half of the time
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any
from unittest.mock import patch

from onnx_ir.schemas import OpSignature
from onnxscript import rewriter
from onnxscript.optimizer import _constant_folding
from torch.onnx._internal.exporter import _core

_from_op_schema = OpSignature.from_op_schema
_infer: Any = _constant_folding.FoldConstantsPass._do_inference
_signatures: dict[tuple[str, str, int], OpSignature] = {}


@contextmanager
def shortcuts() -> Iterator[None]:
    """Inside: an operator's signature is read once, nodes get no notes that `program` strips, a rewriting rule looks at
    its own operator alone, and shapes that are known aren't inferred.
    """
    with ExitStack() as patches:
        for owner, name, shorter in (
            (OpSignature, "from_op_schema", _signature),
            (_core, "_set_node_metadata", _nothing),
            (rewriter, "_DEFAULT_REWRITE_RULES", _rules(rewriter._DEFAULT_REWRITE_RULES)),
            (_constant_folding.FoldConstantsPass, "_do_inference", _infer_unknown),
        ):
            patches.enter_context(patch.object(owner, name, shorter))
        yield


def _signature(schema: Any) -> OpSignature:
    key = (schema.domain, schema.name, schema.since_version)
    if key not in _signatures:
        _signatures[key] = _from_op_schema(schema)
    return _signatures[key]


def _nothing(*_: Any) -> None:
    pass


def _infer_unknown(folding: Any, node: Any) -> None:
    if any(value.type is None or value.shape is None for value in node.outputs):
        _infer(folding, node)


class _AtItsOperator:
    """A rewriting rule that isn't tried where its pattern's last operator is another one."""

    def __init__(self, rule: Any, operator: str) -> None:
        self._rule, self._operator = rule, operator

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rule, name)

    def try_rewrite(self, model: Any, graph: Any, node: Any, **options: Any) -> Any:
        """What the rule makes of `node`, or None."""
        return self._rule.try_rewrite(model, graph, node, **options) if node.op_type == self._operator else None


@cache
def _rules(rules: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(_quick(rule) for rule in rules)


def _quick(rule: Any) -> Any:
    """Of a pattern with several ends, a node is tried as the first one, and all others are looked for in the graph."""
    operator = rule._target_pattern.output_nodes[0].op_identifier()
    return rule if operator is None else _AtItsOperator(rule, operator[1])
