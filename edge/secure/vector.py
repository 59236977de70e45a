"""An update as words of 32 bits: what is hidden in a group. It is kept on the device, and never sent.

>>> vector_from(to_bytes(np.int32([1, -2]))).tolist()
[1, -2]
"""

import numpy as np
from numpy.typing import NDArray

from fedrela.core import streams, tensors
from fedrela.core.bundle import Manifest
from fedrela.core.secure import fixed_point, secure_tasks, words_file
from fedrela.core.secure.fixed_point import EVALUATED, Extras, Layout
from fedrela.core.streams import Stream
from fedrela.core.task import Task
from fedrela.core.tensors import Params
from fedrela.core.wire import EvaluationReport

ENCODING = "vector"
_TENSOR = "vector"
_METADATA = {"encoding": ENCODING}

Vector = NDArray[np.int32]


def of(change: Params, manifest: Manifest, layout: Layout, extras: Extras, stream: Stream) -> Vector:
    """The words (d,) of a change of weights. `stream`: of the rounding, "encode".

    Raises InvalidTensors for a value that isn't finite.
    """
    blocks = secure_tasks.flatten(change, manifest)
    uniforms = streams.uniforms(stream, (sum(block.size for block in blocks),))
    return fixed_point.encode(layout, blocks, extras, uniforms)


def extras_of(task: Task, samples: int, evaluation: EvaluationReport | None) -> Extras:
    """What travels beside the change, inside the sum: the weight, and the evaluation if there is one."""
    weight = secure_tasks.weight(task.aggregation, samples)
    if evaluation is None:
        return Extras(weight)
    return Extras(
        weight,
        eval_loss=evaluation.loss_sum,
        eval_correct=evaluation.correct,
        eval_examples=evaluation.examples,
    )


def evaluated_rows(held_out: int, stream: Stream) -> NDArray[np.int64]:
    """Which of the samples held out are evaluated this time, ascending: `EVALUATED` drawn anew, or none of too few.

    A constant that entered two sums would be known by their difference.
    """
    if held_out < EVALUATED:
        return np.empty(0, np.int64)
    return np.sort(streams.permutation(stream, held_out)[:EVALUATED])


def to_bytes(vector: Vector) -> bytes:
    """The vector as it is kept, in place of the body of an update that isn't hidden."""
    return tensors.to_bytes({_TENSOR: vector}, _METADATA)


def is_vector(kept: bytes) -> bool:
    """Whether a finished update is one that is to be hidden."""
    return tensors.read_metadata(kept).get("encoding") == ENCODING


def vector_from(kept: bytes) -> Vector:
    """The words (d,), read-only, where they are kept. Raises InvalidTensors."""
    return words_file.view(kept, _TENSOR, _METADATA)
