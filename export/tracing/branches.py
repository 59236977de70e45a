"""What a model's Python asked of a batch's size while it was traced, and a size that answers otherwise.

A Python `if` on a batch's size leaves nothing in the graph but the side that the example's size took. torch asks, too,
of course: to choose among kernels that all compute the same.
"""

from pathlib import Path

import torch
from torch.fx.experimental.symbolic_shapes import ShapeEnv, free_unbacked_symbols

SIZES = (*range(2, 1025), 2048, 4096, 10_000)  # that a question is tried with: all that anybody trains with
_TORCH = Path(torch.__file__).parent


def exceptions(environment: ShapeEnv) -> dict[int, str]:
    """For each question that some size answers otherwise than the example's, the smallest such size: the question."""
    found: dict[int, str] = {}
    for guard in environment.guards:
        symbols = guard.expr.free_symbols
        if not symbols or free_unbacked_symbols(guard.expr) or _of_torch(guard.sloc.framework_loc):
            continue
        otherwise = [size for size in SIZES if guard.expr.subs(dict.fromkeys(symbols, size)) == False]  # noqa: E712
        if otherwise:
            found.setdefault(otherwise[0], f"{guard.expr} ({getattr(guard.sloc.framework_loc, 'name', '')})")
    return found


def _of_torch(place: object) -> bool:
    """Whether torch itself asked at this place (a frame, or nothing that is known of it)."""
    return str(getattr(place, "filename", _TORCH)).startswith(str(_TORCH))
