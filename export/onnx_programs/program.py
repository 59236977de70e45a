"""A traced program as ONNX bytes that stock onnxruntime runs: standard ai.onnx operators, nothing of the maker's
machine.

Opset 18 and IR 8 are what onnxruntime 1.14 and later, onnxruntime-web and onnxruntime-android read; every form used
here exists in opset 18, so nothing newer would bring speed.
"""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from itertools import count

import onnx
import torch

from fedrela.core.errors import InvalidBundle, UnsupportedOperation
from fedrela.core.onnx_files import rules
from fedrela.export.onnx_programs import order, recompute, translation
from fedrela.export.program import Definition
from fedrela.export.tracing.trace import quiet

IR_VERSION = 8
MIN_RUNTIME_VERSION = "1.17.0"


def lower(definition: Definition, program: torch.export.ExportedProgram) -> bytes:
    """The ONNX file. The same program gives the same bytes. Raises UnsupportedOperation naming the operator."""
    try:
        with _quiet():
            model = translation.translate(program, constant_weights=definition.name == "predict")
    except torch.onnx.errors.OnnxExporterError as error:
        raise _unsupported(error) from error
    _rename(model, definition)
    recompute.recompute(model, definition)
    order.prepare(model, definition)
    _strip(model)
    onnx.checker.check_model(model, full_check=False)
    body = bytes(model.SerializeToString(deterministic=True))
    try:
        rules.check(body, definition.name)
    except InvalidBundle as fault:  # what no device would load is not written
        remedy = "replace the layer that needs it, or let the model have fewer layers"
        raise UnsupportedOperation(f"no device would load it: {fault.problem}", remedy=remedy) from fault
    return body


def _unsupported(error: BaseException) -> UnsupportedOperation:
    """What the exporter's chain of errors comes down to: the operator and the first cause."""
    chain = [error]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    operator = next((match[0] for link in chain if (match := re.search(r"aten\.\w+", str(link)))), "an operator")
    cause = (str(chain[-1]).splitlines() or [type(chain[-1]).__name__])[0]
    return UnsupportedOperation(
        f"{operator} has no ONNX form ({cause[:200]})",
        remedy="use another layer there; docs/layers.md lists what works",
    )


def _rename(model: onnx.ModelProto, definition: Definition) -> None:
    """Inputs and outputs get the manifest's names, inner values short ones in graph order."""
    graph = model.graph
    if len(graph.input) != len(definition.inputs) or len(graph.output) != len(definition.outputs):
        raise UnsupportedOperation(
            f"{definition.name} was lowered to {len(graph.input)} inputs and {len(graph.output)} outputs instead of "
            f"{len(definition.inputs)} and {len(definition.outputs)}",
            remedy="report this model: the ONNX exporter dropped a tensor",
        )
    _name_bodies_apart(graph)
    names = {value.name: item.name for value, item in zip(graph.input, definition.inputs, strict=True)}
    _own_outputs(graph, set(names))
    names |= {value.name: name for value, name in zip(graph.output, definition.outputs, strict=True)}
    constants = [initializer for scope in (graph, *_subgraphs(graph)) for initializer in scope.initializer]
    short = {letter: _unused(letter, {*names.values()}) for letter in "cv"}
    names |= {constant.name: next(short["c"]) for constant in constants}
    for node in _nodes(graph):
        for output in node.output:
            if output and output not in names:
                names[output] = next(short["v"])
    for index, node in enumerate(_nodes(graph)):
        node.name = f"n{index}"
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for scope in (graph, *_subgraphs(graph)):
        for named in (*scope.input, *scope.output, *scope.initializer, *scope.value_info):
            named.name = names.get(named.name, named.name)


def _unused(letter: str, taken: set[str]) -> Iterator[str]:
    """v0, v1, ...: none that a tensor of the model has."""
    return (name for number in count() if (name := f"{letter}{number}") not in taken)


def _name_bodies_apart(graph: onnx.GraphProto) -> None:
    """Two bodies may hold values of one name, for each was written by itself; a runtime takes no name twice."""
    for index, scope in enumerate(_subgraphs(graph)):
        values = {output for node in scope.node for output in node.output if output}
        values |= {named.name for named in (*scope.input, *scope.initializer)}
        for node in _nodes(scope):
            node.input[:] = [f"b{index}.{name}" if name in values else name for name in node.input]
            node.output[:] = [f"b{index}.{name}" if name in values else name for name in node.output]
        for named in (*scope.input, *scope.output, *scope.initializer, *scope.value_info):
            named.name = f"b{index}.{named.name}" if named.name in values else named.name


def _own_outputs(graph: onnx.GraphProto, inputs: set[str]) -> None:
    """Give every output a value of its own where it is an input passed on, or given twice."""
    seen = set(inputs)
    for output in graph.output:
        if output.name in seen:
            fresh = f"{output.name}.again{len(graph.node)}"
            graph.node.append(onnx.helper.make_node("Identity", [output.name], [fresh]))
            output.name = fresh
        seen.add(output.name)


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Every node, those of subgraphs last."""
    for scope in (graph, *_subgraphs(graph)):
        yield from scope.node


def _subgraphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """The branches and bodies inside `graph`, at any depth."""
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield attribute.g
                yield from _subgraphs(attribute.g)


def _strip(model: onnx.ModelProto) -> None:
    """Drop all that says where and by what the file was made."""
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version, model.doc_string, model.domain = "fedrela", "", "", ""
    del model.metadata_props[:]
    model.graph.name, model.graph.doc_string = "program", ""
    del model.graph.metadata_props[:]
    del model.graph.value_info[:]
    for scope in _subgraphs(model.graph):
        scope.name, scope.doc_string = "branch", ""
        del scope.value_info[:]
    for node in _nodes(model.graph):
        node.doc_string = ""
        del node.metadata_props[:]
    for named in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        named.doc_string = ""
        del named.metadata_props[:]


@contextmanager
def _quiet() -> Iterator[None]:
    """torch.onnx warns of packages that don't matter here, and onnxscript prints what it optimizes."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with quiet(), open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
            yield
    finally:
        logger.setLevel(level)
