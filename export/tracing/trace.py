"""One flat ATen graph from a Python function over tensors: the graph that every runtime's lowering starts from.

`trace` takes a pure function (weights, batch and hyperparameters in; everything out) whose body may call
`torch.autograd.grad`, and gives a `torch.export.ExportedProgram` without parameters, buffers or mutations: inputs in,
outputs out, in the order given. A lowering that has a better form of its own for a backward operator names it in
`keep`, and finds it in the graph undecomposed.

    >>> import torch
    >>> def step(w, x):
    ...     (g,) = torch.autograd.grad((x @ w).square().mean(), w)
    ...     return (w - 0.1 * g,)
    >>> w, x = torch.ones(3, 2, requires_grad=True), torch.ones(4, 3)
    >>> program = trace(step, (w, x), ((3, 2), ("B", 3)))
    >>> program.module()(torch.ones(3, 2), torch.ones(7, 3))[0].shape
    torch.Size([3, 2])
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

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
from fedrela.export.tracing import branches
from fedrela.export.tracing import decompositions as own

aten = torch.ops.aten
Shape = tuple[int | str, ...]

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
    keep: frozenset[torch._ops.OpOverload] = frozenset(),
    max_batch: int = UNBOUNDED,
) -> torch.export.ExportedProgram:
    """Trace `function(*example_inputs)` into one flat ATen graph.

    `shapes` gives each input's shape with its open dimensions named ("B" or "N"), which stay dynamic from 1 to
    `max_batch`; the example's sizes there must be at least 2 and differ from the other dimensions. Operators in `keep`
    are left whole; every other one with a decomposition is taken apart.
    """
    graph, environment = _flat(function, example_inputs, shapes, keep)
    _refuse_draws(graph)
    _refuse_branches(environment)
    examples = tuple(tensor.detach() for tensor in example_inputs)
    with quiet(), torch.no_grad():
        exported = torch.export.export(graph, examples, dynamic_shapes=_dynamic(shapes, max_batch))
    forget_origins(exported)
    return exported


def _flat(
    function: Callable[..., tuple[torch.Tensor, ...]],
    example_inputs: Sequence[torch.Tensor],
    shapes: Sequence[Shape],
    keep: frozenset[torch._ops.OpOverload],
) -> tuple[torch.fx.GraphModule, ShapeEnv]:
    """The graph, and what tracing it asked of the open dimensions."""
    environment = ShapeEnv()
    with FakeTensorMode(shape_env=environment, allow_non_fake_inputs=True) as mode:
        fakes = [_fake(mode, tensor, shape) for tensor, shape in zip(example_inputs, shapes, strict=True)]
    with (
        quiet(),
        enable_python_dispatcher(),
        mode,
        sdpa_kernel(SDPBackend.MATH),
        torch.backends.mkldnn.flags(enabled=False),
    ):
        graph = make_fx(function, decomposition_table=decompositions(keep))(*fakes)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph, environment


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


def forget_origins(program: torch.export.ExportedProgram) -> None:
    """Drop what each node was made from: every further pass would copy that history and add to it."""
    for node in program.graph.nodes:
        node.meta.pop("from_node", None)


def decompositions(keep: frozenset[torch._ops.OpOverload] = frozenset()) -> dict[Any, Callable[..., Any]]:
    """The decomposition table of `trace`: torch's core ATen set and ours, without what `keep` names."""
    table = core_aten_decompositions()
    merged = {**{op: table[op] for op in table}, **get_decompositions(list(_MORE)), **own.table()}
    return {op: rule for op, rule in merged.items() if op not in keep}


def _fake(mode: FakeTensorMode, tensor: torch.Tensor, shape: Shape) -> torch.Tensor:
    kinds = [DimDynamic.DYNAMIC if isinstance(size, str) else DimDynamic.STATIC for size in shape]
    context: StatelessSymbolicContext[Any, Any] = StatelessSymbolicContext(
        dynamic_sizes=kinds, constraint_sizes=[None] * len(kinds)
    )
    return mode.from_tensor(tensor, symbolic_context=context)


def _dynamic(shapes: Sequence[Shape], max_batch: int) -> tuple[dict[int, Any], ...]:
    names = sorted({size for shape in shapes for size in shape if isinstance(size, str)})
    dims = {name: torch.export.Dim(name, min=1, max=max_batch) for name in names}
    return tuple({index: dims[size] for index, size in enumerate(shape) if isinstance(size, str)} for shape in shapes)
