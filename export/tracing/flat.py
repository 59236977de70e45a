"""A flat graph of ATen operators as an `ExportedProgram` that no lowering traces again.

`torch.export.export` would trace the graph once more, and each lowering's decompositions twice: hundreds of
microseconds for every operator. What `fedrela.export.tracing.trace` makes is flat, pure and decomposed already.

    >>> import torch
    >>> from torch.fx.experimental.proxy_tensor import make_fx
    >>> x = torch.ones(2)
    >>> graph = make_fx(lambda x: (x + torch.tensor(1.0),), tracing_mode="fake")(x)
    >>> program(graph, max_batch=1).module()(x)
    (tensor([2., 2.]),)
"""

import operator
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.export.exported_program import ModuleCallEntry, ModuleCallSignature
from torch.export.graph_signature import (
    ExportGraphSignature,
    InputKind,
    InputSpec,
    OutputKind,
    OutputSpec,
    TensorArgument,
)
from torch.fx import GraphModule, Node
from torch.utils import _pytree as pytree
from torch.utils._sympy.value_ranges import ValueRanges


class Flat(ExportedProgram):
    """A program whose operators are those that its runtime's lowering takes."""

    def run_decompositions(self, *arguments: Any, **options: Any) -> "Flat":
        """Itself: there is nothing left to take apart."""
        return self


def program(graph: GraphModule, max_batch: int) -> Flat:
    """`graph`, whose open dimensions take 1 to `max_batch`; its constants become inputs of the program's own."""
    taken = graph.graph.find_nodes(op="placeholder")
    constants = _lift(graph, next(iter(graph.graph.nodes)))
    results = cast("list[Node]", graph.graph.output_node().args[0])
    inputs = [InputSpec(InputKind.CONSTANT_TENSOR, TensorArgument(name), name) for name in constants]
    inputs += [InputSpec(InputKind.USER_INPUT, TensorArgument(node.name), None) for node in taken]
    outputs = [OutputSpec(OutputKind.USER_OUTPUT, TensorArgument(node.name), None) for node in results]
    return Flat(
        root=nn.Module(),
        graph=graph.graph,
        graph_signature=ExportGraphSignature(inputs, outputs),
        state_dict={},
        range_constraints=_ranges(taken, max_batch),
        module_call_graph=[ModuleCallEntry("", _signature(len(taken), len(results)))],
        constants=dict(constants),
    )


def _lift(graph: GraphModule, first: Node) -> dict[str, Tensor]:
    """Make an input of every constant, before `first`; the constants by the inputs' names."""
    mode = torch._guards.detect_fake_mode([node.meta.get("val") for node in graph.graph.nodes])
    lifted: dict[str, Tensor] = {}
    known: dict[int, Node] = {}
    for node in graph.graph.find_nodes(op="get_attr"):
        value = operator.attrgetter(str(node.target))(graph)
        source = known.get(id(value))
        if source is None:
            with graph.graph.inserting_before(first):
                source = known[id(value)] = graph.graph.placeholder(f"constant_{len(lifted)}")
            source.meta["val"] = value if mode is None else mode.from_tensor(value.detach(), static_shapes=True)
            lifted[source.name] = value.detach()
        node.replace_all_uses_with(source)
        graph.graph.erase_node(node)
    return lifted


def _ranges(taken: Sequence[Node], max_batch: int) -> dict[Any, ValueRanges[Any]]:
    """The open dimensions of the inputs."""
    return {
        size.node.expr: ValueRanges(1, max_batch)
        for node in taken
        for size in getattr(node.meta["val"], "shape", ())
        if isinstance(size, torch.SymInt)
    }


def _signature(taken: int, given: int) -> ModuleCallSignature:
    """A call with so many tensors in order, which gives a tuple of so many. Passes rename nodes, so it names none."""
    return ModuleCallSignature(
        inputs=[],
        outputs=[],
        in_spec=pytree.tree_structure((tuple(range(taken)), {})),
        out_spec=pytree.tree_structure(tuple(range(given))),
    )
