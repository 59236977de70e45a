"""Whether a page made the update that a Python device makes on the same data, order and random numbers."""

from typing import Any

import numpy as np

from fedrela.core import golden
from fedrela.core.tensors import Params
from fedrela.edge.engines.onnx_engine import OnnxEngine
from fedrela.edge.training import local_round
from fedrela.edge.training.local_round import LocalRound


def check_same_update(weights: Params, want: Params, sent: Params, *, rounded: float = 0.0) -> None:
    """`want`: the Python device's change of `weights`; `sent`: the page's. Both in float32, many steps long.

    The weights after it agree to 1e-5. The change agrees to 3e-5, in the measure of an export's verification: a
    tensor that hardly moves is told apart from where it was no better than its weights are rounded. `rounded`: how far
    a change may be off for being sent as whole numbers of steps, up or down by chance.
    """
    assert sent.keys() == want.keys()
    for name, change in want.items():
        start = weights[name]
        here, there = np.asarray(start + change), np.asarray(start + sent[name])
        off = max(golden.difference(here, there) - rounded, 0.0)
        assert golden.relative(off, golden.change_scale(here, 0.0)) <= 1e-5, name
        assert golden.relative(off, golden.change_scale(here, start)) <= 3e-5, name


def train_on(engine: OnnxEngine, local: LocalRound, weights: Any, examples: Any, labels: Any) -> Any:
    """The update of a client round on given labels."""
    state = engine.start(weights)
    for _ in local_round.train(engine, local, examples, labels, state):
        pass
    return local_round.change(engine, state, weights)
