"""One flat ATen graph from a Python function over tensors: the graph that a runtime's lowering starts from.

`trace` takes a pure function (weights, batch and hyperparameters in; everything out) whose body may call
`torch.autograd.grad`, and gives a `torch.export.ExportedProgram` without parameters, buffers or mutations: inputs in,
outputs out, in the order given. A runtime's table says what each operator becomes, and what isn't in it stays whole.

    >>> import torch
    >>> def step(w, x):
    ...     (g,) = torch.autograd.grad((x @ w).square().mean(), w)
    ...     return (w - 0.1 * g,)
    >>> w, x = torch.ones(3, 2, requires_grad=True), torch.ones(4, 3)
    >>> program = trace(step, (w, x), ((3, 2), ("B", 3)))
    >>> program.module()(torch.ones(3, 2), torch.ones(7, 3))[0].shape
    torch.Size([3, 2])
"""

import operator
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, cast

import torch
import torch.fx.config
from torch._decomp import core_aten_decompositions, get_decompositions
from torch._dispatch.python import enable_python_dispatcher
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, StatelessSymbolicContext
from torch.nn.attention import SDPBackend, sdpa_kernel

from fedrela.core.errors import UnsupportedOperation
from fedrela.export.limits import UNBOUNDED
from fedrela.export.tracing import branches, flat, folding, mutations
from fedrela.export.tracing import decompositions as own
from fedrela.export.tracing.flat import Flat

aten = torch.ops.aten
Shape = tuple[int | str, ...]
Table = Mapping[Any, Callable[..., Any]]  # operator -> what it is made of
WHOLE = cast(torch.Tensor, NotImplemented)  # what a table's form gives that leaves its operator as it is

# Backward operators beyond torch's core set that have a decomposition which is right on every runtime.
_MORE = (
    aten.max_pool2d_with_indices_backward,
    aten.native_group_norm_backward,
    aten.native_layer_norm_backward,
    aten.native_batch_norm_backward,
    aten.embedding_dense_backward,
    aten.native_dropout_backward,
    aten.grid_sampler_2d_backward,
    aten._log_softmax_backward_data,
    aten._softmax_backward_data,
    aten.nll_loss_backward,
    aten.nll_loss_forward,
)


def trace(
    function: Callable[..., tuple[torch.Tensor, ...]],
    example_inputs: Sequence[torch.Tensor],
    shapes: Sequence[Shape],
    *,
    table: Table | None = None,
    max_batch: int = UNBOUNDED,
) -> Flat:
    """Trace `function(*example_inputs)` into one flat ATen graph without mutations.

    `shapes` gives each input's shape with its open dimensions named ("B" or "N"), which stay dynamic from 1 to
    `max_batch`; the example's sizes there must be at least 2 and differ from the other dimensions. Operators in `table`
    (by default `decompositions()`) are taken apart as it says, every other one is left whole.
    """
    table = decompositions() if table is None else table
    graph, environment = _flat(function, example_inputs, shapes, table)
    _refuse_draws(graph)
    _refuse_branches(environment)
    _refuse_one_size(environment)
    if folding.fold(graph):
        graph, environment = _flat(graph, example_inputs, shapes, table)
    return flat.program(graph, max_batch)


def _flat(
    function: Callable[..., tuple[torch.Tensor, ...]],
    example_inputs: Sequence[torch.Tensor],
    shapes: Sequence[Shape],
    table: Table,
) -> tuple[torch.fx.GraphModule, ShapeEnv]:
    """The graph, and what tracing it asked of the open dimensions."""
    environment = ShapeEnv()
    watch = mutations.watched(table)
    with FakeTensorMode(shape_env=environment, allow_non_fake_inputs=True) as mode:
        fakes = [_fake(mode, tensor, shape) for tensor, shape in zip(example_inputs, shapes, strict=True)]
    with (
        quiet(),
        enable_python_dispatcher(),
        mode,
        sdpa_kernel(SDPBackend.MATH),
        torch.backends.mkldnn.flags(enabled=False),
    ):
        graph = make_fx(function, decomposition_table=watch.table)(*fakes)
        if watch.lost or not mutations.take_out(graph):
            whole = torch.func.functionalize(make_fx(function)(*fakes), remove="mutations")
            with torch.no_grad():
                graph = make_fx(whole, decomposition_table=watch.table)(*fakes)
            mutations.take_out(graph)  # of constants, such as a count of batches
    graph.graph.eliminate_dead_code()
    _ask_for_sizes_alone(graph.graph)
    _ask_sizes_once(graph.graph)
    graph.recompile()
    return graph, environment


def _ask_for_sizes_alone(graph: torch.fx.Graph) -> None:
    """A number of elements is the product of the sizes: no runtime has an operator that counts them."""
    for node in graph.find_nodes(op="call_function", target=aten.sym_numel.default):
        tensor = node.args[0]
        with graph.inserting_before(node):
            count, known = None, 1
            for axis, size in enumerate(tensor.meta["val"].shape):
                if isinstance(size, torch.SymInt):
                    asked = graph.call_function(aten.sym_size.int, (tensor, axis))
                    asked.meta["val"] = size
                    count = asked if count is None else _product(graph, count, asked)
                else:
                    known *= size
            assert count is not None, "a count without an open size is a number"
            node.replace_all_uses_with(count if known == 1 else _product(graph, count, known))
        graph.erase_node(node)


def _product(graph: torch.fx.Graph, one: torch.fx.Node, other: torch.fx.Node | int) -> torch.fx.Node:
    made = graph.call_function(operator.mul, (one, other))
    made.meta["val"] = one.meta["val"] * (other if isinstance(other, int) else other.meta["val"])
    return made


def _ask_sizes_once(graph: torch.fx.Graph) -> None:
    """Of nodes that give the same size, whatever the batch, the first one serves for all."""
    known: dict[str, torch.fx.Node] = {}
    for node in graph.nodes:
        value = node.meta.get("val")
        if node.op == "call_function" and isinstance(value, torch.SymInt):
            first = known.setdefault(str(value.node.expr), node)
            if first is not node:
                node.replace_all_uses_with(first)
                graph.erase_node(node)


def _refuse_one_size(environment: ShapeEnv) -> None:
    """The graph takes the example's batch alone where something asked for exactly that."""
    for symbol, size in environment.replacements.items():
        if not size.free_symbols:
            raise UnsupportedOperation(
                f"the model works for one batch size only ({symbol} has to be {size})",
                remedy="let the model take the batch size from x.shape[0], and keep it the first dimension",
            )


def _refuse_branches(environment: ShapeEnv) -> None:
    """The graph holds one side of every branch of Python's."""
    for size, question in sorted(branches.exceptions(environment).items()):
        raise UnsupportedOperation(
            f"the model computes something else for a batch of {size}: it asks whether {question}",
            remedy="let no branch of Python's depend on how many examples there are",
        )


def _refuse_draws(graph: torch.fx.GraphModule) -> None:
    """No program draws random numbers of its own: not even in a backward pass of the model's own making."""
    for node in graph.graph.nodes:
        if torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()):
            raise UnsupportedOperation(
                f"{node.target} draws random numbers",
                remedy="use nn.Dropout, whose masks become inputs, or give the random numbers as a model input",
            )


@contextmanager
def quiet() -> Iterator[None]:
    """Leave out torch's warnings of its own deprecations and of hardware that isn't used.

    Also the Python stack of every node: it would be taken out again, and costs time at each of some ten tracings.
    """
    before = torch.fx.config.do_not_emit_stack_traces
    torch.fx.config.do_not_emit_stack_traces = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.fx.config.do_not_emit_stack_traces = before


def decompositions(keep: frozenset[torch._ops.OpOverload] = frozenset()) -> Table:
    """The decomposition table of `trace`: torch's core ATen set and ours, without what `keep` names."""
    return {op: rule for op, rule in _all().items() if op not in keep}


@cache
def _all() -> Table:
    return {**core_aten_decompositions().materialize(), **get_decompositions(list(_MORE)), **own.table()}


def _fake(mode: FakeTensorMode, tensor: torch.Tensor, shape: Shape) -> torch.Tensor:
    # Open dimensions of one size are one dimension.
    kinds = [DimDynamic.DUCK if isinstance(size, str) else DimDynamic.STATIC for size in shape]
    context: StatelessSymbolicContext[Any, Any] = StatelessSymbolicContext(
        dynamic_sizes=kinds, constraint_sizes=[None] * len(kinds)
    )
    return mode.from_tensor(tensor, symbolic_context=context)
