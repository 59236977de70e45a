"""Random numbers of a model's own, other than dropout's, made from supplied uniforms: so a step can be replayed.

Drop path (Huang et al., "Deep Networks with Stochastic Depth", ECCV 2016), RReLU (Xu et al., 2015), Gaussian noise and
Gumbel softmax (Jang et al., ICLR 2017) ask torch for Bernoulli, uniform, normal and exponential numbers. Here each of
them is a function of uniforms in [0, 1), of which a device gives as many as the model asks for, as it does for dropout:

    bernoulli p          u < p
    uniform a, b         a + u (b - a)
    normal mean, std     mean + std sqrt(-2 log(1 - u)) cos(2 pi v): Box and Muller, 1958; u and v are neighbors
    exponential rate     max(-log(1 - u), 2^-24) / rate: never 0, of which models take the logarithm
    integers low, high   low + floor(u (high - low))

    >>> import torch
    >>> supplied = rules(lambda shape: torch.full(shape, 0.75))
    >>> supplied[torch.Tensor.bernoulli_](torch.empty(2), 0.8)
    tensor([1., 1.])
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fedrela.core.errors import UnsupportedOperation

_LEAST = 2.0**-24  # what the smallest uniform of float32 above 0 makes of an exponential number

Uniforms = Callable[[tuple[Any, ...]], Tensor]
Draw = Callable[..., Tensor]


def rules(uniforms: Uniforms) -> dict[Any, Draw]:
    """torch function -> what to call instead, wherever a model draws random numbers itself."""
    named: dict[Any, Draw] = {
        torch.rand: _made(_uniform),
        torch.randn: _made(_normal),
        torch.rand_like: _like(_uniform),
        torch.randn_like: _like(_normal),
        torch.normal: _torch_normal,
        torch.bernoulli: _bernoulli,
        torch.randint: _randint,
        torch.rrelu: _rrelu,
        torch.rrelu_: partial(_rrelu, inplace=True),
        F.rrelu: _rrelu,
        F.gumbel_softmax: _gumbel_softmax,
        Tensor.bernoulli: _bernoulli,
        Tensor.bernoulli_: _in_place(_bernoulli_of_size),
        Tensor.uniform_: _in_place(_uniform),
        Tensor.normal_: _in_place(_normal),
        Tensor.exponential_: _in_place(_exponential),
    }
    return {function: partial(_drawn, function, draw, uniforms) for function, draw in named.items()}


def _drawn(function: Any, draw: Draw, uniforms: Uniforms, *arguments: Any, **options: Any) -> Tensor:
    """What `draw` makes. A seeded generator gives numbers that no uniform of a device's stands for."""
    if any(isinstance(value, torch.Generator) for value in (*arguments, *options.values())):
        raise UnsupportedOperation(
            f"{function.__name__} with a generator",
            remedy="leave generator= out, so that devices draw anew each time; keep what shall always be the same in a "
            "buffer",
        )
    if options.pop("out", None) is not None:
        raise UnsupportedOperation(f"{function.__name__} with out=", remedy="take the tensor that it gives")
    return draw(uniforms, *arguments, **options)


def _uniform(uniforms: Uniforms, shape: tuple[Any, ...], low: float = 0.0, high: float = 1.0) -> Tensor:
    drawn = uniforms(shape)
    return drawn if (low, high) == (0.0, 1.0) else low + drawn * (high - low)


def _normal(uniforms: Uniforms, shape: tuple[Any, ...], mean: Any = 0.0, std: Any = 1.0) -> Tensor:
    pairs = uniforms((*shape, 2))
    radius = torch.sqrt(-2 * torch.log(1 - pairs[..., 0]))
    standard = radius * torch.cos(2 * math.pi * pairs[..., 1])
    scaled: Tensor = mean + std * standard
    return scaled


def _exponential(uniforms: Uniforms, shape: tuple[Any, ...], lambd: float = 1.0) -> Tensor:
    return torch.clamp(-torch.log(1 - uniforms(shape)), min=_LEAST) / lambd


def _bernoulli_of_size(uniforms: Uniforms, shape: tuple[Any, ...], p: Any = 0.5) -> Tensor:
    drawn: Tensor = uniforms(shape) < p
    return drawn.to(torch.get_default_dtype())


def _bernoulli(uniforms: Uniforms, x: Tensor, p: float | None = None, *, generator: Any = None) -> Tensor:
    """Of the probabilities x, or of one probability in x's shape."""
    return (uniforms(tuple(x.shape)) < (x.detach() if p is None else p)).to(x.dtype)


def _randint(
    uniforms: Uniforms, *arguments: Any, low: Any = 0, high: Any = None, size: Any = None, dtype: Any = None, **_: Any
) -> Tensor:
    """(high, size) or (low, high, size), each by position or by name: a number before a named `high` is `low`."""
    numbers = list(arguments)
    if size is None:
        size = numbers.pop()
    if high is None:
        high = numbers.pop()
    if numbers:
        (low,) = numbers
    drawn: Tensor = low + torch.floor(uniforms(tuple(size)) * (high - low))
    return drawn.to(dtype or torch.int64)


def _torch_normal(uniforms: Uniforms, mean: Any = 0.0, std: Any = 1.0, size: Any = None, **options: Any) -> Tensor:
    """With a size, or in the shape that the two tensors have together."""
    if size is None:
        shapes = [value.shape for value in (mean, std) if isinstance(value, Tensor)]
        size = torch.broadcast_shapes(*shapes)  # type: ignore[no-untyped-call]
    return _normal(uniforms, tuple(size), mean, std)


def _rrelu(
    uniforms: Uniforms, x: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False,
    inplace: bool = False, generator: Any = None,
) -> Tensor:  # fmt: skip
    """A slope between the two below 0, one for each element; their mean in evaluation mode."""
    slope = _uniform(uniforms, tuple(x.shape), lower, upper) if training else (lower + upper) / 2
    result = torch.where(x >= 0, x, x * slope)
    return x.copy_(result) if inplace else result


def _gumbel_softmax(
    uniforms: Uniforms, logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    noise = -torch.log(_exponential(uniforms, tuple(logits.shape)))
    soft = torch.softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    best = (soft == soft.amax(dim, keepdim=True)).to(soft.dtype)
    return best - soft.detach() + soft


def _made(draw: Draw) -> Draw:
    """torch.rand and its like: sizes one by one, or as one sequence, or by name."""

    def made(uniforms: Uniforms, *sizes: Any, size: Sequence[Any] | None = None, dtype: Any = None, **_: Any) -> Tensor:
        given = size if size is not None else sizes
        shape = tuple(given[0]) if len(given) == 1 and isinstance(given[0], list | tuple) else tuple(given)
        return draw(uniforms, shape).to(dtype or torch.get_default_dtype())

    return made


def _like(draw: Draw) -> Draw:
    def like(uniforms: Uniforms, x: Tensor, *, dtype: Any = None, **_: Any) -> Tensor:
        return draw(uniforms, tuple(x.shape)).to(dtype or x.dtype)

    return like


def _in_place(draw: Draw) -> Draw:
    """Tensor.uniform_ and its like: fill x and give it back."""

    def filled(uniforms: Uniforms, x: Tensor, *numbers: Any, generator: Any = None, **named: Any) -> Tensor:
        names = {"from": "low", "to": "high"}
        drawn = draw(uniforms, tuple(x.shape), *numbers, **{names.get(name, name): v for name, v in named.items()})
        return x.copy_(drawn.to(x.dtype))

    return filled
