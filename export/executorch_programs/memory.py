"""Memory for a program's values, planned as ExecuTorch's own `greedy` does, in a time that a long program has.

For each value the package looks at all that were placed before it, one by one: over the 128 steps of a recurrent net
that takes minutes. Here they are compared all at once, and the plan is the same.

    config = ExecutorchBackendConfig(memory_planning_pass=MemoryPlanningPass(MemoryPlanningAlgorithmSuite([plan])))

    >>> place([8, 8, 4], [0, 2, 3], [1, 4, 5])      # the second takes the first one's place over, the third another
    ([0, 0, 1], [0, 0, 0])
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from executorch.exir.memory_planning import (
    AllocationSpec,
    MemoryAlgoResult,
    SharedObject,
    SpecAllocResult,
    _compute_total_sizes,
    greedy,
)

_ARENA = 1  # of all values but constants


def plan(alignment: int, specs: Sequence[Any], module: Any, signature: Any, extra_padding: int) -> Any:
    """`executorch.exir.memory_planning.greedy`; that itself where values share memory or have an arena of their own."""
    if any(spec.inplace_base is not None or spec.mem_id is not None for spec in specs):
        return greedy(alignment, specs, module, signature, extra_padding)
    ordered = sorted(specs, key=lambda spec: spec.allocated_memory)[::-1]
    sizes = [spec.realign(alignment) for spec in ordered]
    holders, offsets = place(sizes, *zip(*(spec.lifetime for spec in ordered), strict=True)) if ordered else ([], [])
    objects: list[Any] = []
    for spec, size, holder, offset in zip(ordered, sizes, holders, offsets, strict=True):
        if holder == len(objects):
            objects.append(SharedObject(holder, -1, size, *spec.lifetime))
        objects[holder].allocations.append(AllocationSpec(offset, spec))
    result = MemoryAlgoResult({spec: SpecAllocResult(_ARENA, 0, 0) for spec in ordered}, [])
    arenas = {_ARENA: objects} if objects else {}
    result.bufsizes = _compute_total_sizes(arenas, module, extra_padding, result, len(ordered))
    return result


def place(sizes: Sequence[int], firsts: Sequence[int], lasts: Sequence[int]) -> tuple[list[int], list[int]]:
    """For each value, the largest first: the block of memory that holds it, and where in it.

    sizes in bytes; firsts and lasts: between which operators, inclusively, it is needed. A value goes into the first
    block that is free for so long; else behind what the first block with room holds meanwhile; else into a new block.
    """
    count = len(sizes)
    first, last = np.asarray(firsts), np.asarray(lasts)
    holder, offset, end = (np.zeros(count, np.int64) for _ in range(3))
    blocks = np.zeros(count, np.int64)  # their sizes
    made = 0
    for index, size in enumerate(sizes):
        together = np.flatnonzero((first[:index] <= last[index]) & (last[:index] >= first[index]))
        held = np.zeros(made + 1, np.int64)  # up to where each block is taken meanwhile; the last one is none yet
        taken = np.zeros(made + 1, bool)
        taken[holder[together]] = True
        block = int(np.argmin(taken))
        if block == made:
            np.maximum.at(held, holder[together], end[together])
            roomy = np.flatnonzero((held[:made] > 0) & (held[:made] + size <= blocks[:made]))
            block = int(roomy[0]) if roomy.size else made
        if block == made:
            blocks[made] = size
            made += 1
        holder[index], offset[index], end[index] = block, held[block], held[block] + size
    return holder.tolist(), offset.tolist()
