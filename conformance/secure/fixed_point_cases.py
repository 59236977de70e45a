"""Vectors for fixed point. Norms that clip are exact in float64 in whatever order they are summed.

>>> [case["name"] for case in build()["decode"] if case["total"] is not None]
['three members']
"""

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrela.core.errors import InvalidInput
from fedrela.core.secure import fixed_point
from fedrela.core.secure.fixed_point import Block, Extras, Layout

LAYOUTS = {
    "one block": Layout((Block(2, 8.0),), classes=2, largest_group=16),
    "two blocks": Layout((Block(2, 2.5), Block(1, 1.0)), classes=0, largest_group=5),
    "the largest group": Layout((Block(3, 64.0),), classes=0, largest_group=64),
}
PLAIN = Extras(1.0)
HALF = Extras(0.5, eval_loss=20.0, eval_correct=3, eval_examples=32, histogram=(4, 5000))
BEYOND = Extras(3.0, eval_loss=1e9, eval_correct=99, eval_examples=99)
NEGATIVE = Extras(-1.0, eval_loss=-1.0)


def build() -> dict[str, Any]:
    """The document secure/fixed_point.json."""
    return {
        "layouts": {name: asdict(layout) for name, layout in LAYOUTS.items()},
        "encode": [
            _encoded("zero", "one block", [[0.0, 0.0]], PLAIN, [0.0, 0.0]),
            _encoded("half a weight, a count that is clamped", "one block", [[1.0, -0.25]], HALF, [0.5, 0.5]),
            _encoded("rounding", "one block", [[1.5e-7, -1.5e-7]], PLAIN, [0.0, 0.75]),
            _encoded("a block that is clipped", "two blocks", [[3.0, 4.0], [0.5]], PLAIN, [0.0, 0.25, 0.5]),
            _encoded("statistics alone are clipped", "two blocks", [[1.5, 2.0], [2.0]], PLAIN, [0.0, 0.25, 0.5]),
            _encoded("a block at its norm", "two blocks", [[1.5, 2.0], [1.0]], PLAIN, [0.0, 0.25, 0.5]),
            _encoded("the largest value", "the largest group", [[2.0**100, 0.0, 0.0]], BEYOND, [0.99999994] * 3),
            _encoded("the smallest value", "the largest group", [[-(2.0**100), 0.0, 0.0]], NEGATIVE, [0.0] * 3),
        ],
        "decode": _decoded(),
    }


def _encoded(
    name: str, layout: str, blocks: list[list[float]], extras: Extras, uniforms: list[float]
) -> dict[str, Any]:
    arrays = [np.array(block, np.float32) for block in blocks]
    drawn = np.array(uniforms, np.float32)
    vector = fixed_point.encode(LAYOUTS[layout], arrays, extras, drawn)
    return {
        "name": name,
        "layout": layout,
        "blocks": [array.tolist() for array in arrays],
        "extras": asdict(extras),
        "uniforms": drawn.tolist(),
        "vector": vector.tolist(),
    }


def _decoded() -> list[dict[str, Any]]:
    """Sums of three members; `total` null: out of bounds."""
    layout = LAYOUTS["one block"]
    good = 3 * fixed_point.encode(layout, [np.array([8.0, 0.0], np.float32)], HALF, np.zeros(2, np.float32))
    return [
        _sum("three members", good),
        _sum("a norm beyond reach", good + _word(0, 2**27, good.size)),
        _sum("no weight", good - _word(2, int(good[2]), good.size)),
        _sum("too much weight", good + _word(2, 2**27, good.size)),
        _sum("more are clipped than members", good + _word(3, 4, good.size)),
        _sum("fewer than none are clipped", good - _word(3, 1, good.size)),
        _sum("a loss below zero", good - _word(4, int(good[4]) + 1, good.size)),
        _sum("too many correct answers", good + _word(5, 90, good.size)),
        _sum("too many of a class", good + _word(8, 1, good.size)),
    ]


def _word(at: int, value: int, size: int) -> NDArray[np.int32]:
    return np.where(np.arange(size) == at, np.int32(value), np.int32(0))


def _sum(name: str, words: NDArray[np.int32]) -> dict[str, Any]:
    try:
        decoded = fixed_point.decode(LAYOUTS["one block"], words, members=3)
    except InvalidInput:
        total = None
    else:
        total = {"blocks": [block.tolist() for block in decoded.blocks], "extras": asdict(decoded.extras)}
    return {"name": name, "layout": "one block", "members": 3, "words": words.tolist(), "total": total}
