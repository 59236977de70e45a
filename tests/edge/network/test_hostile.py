"""A coordinator that holds the right keys signs what no device can use: an error of ours, never the process's end."""

import json
import struct
from collections.abc import Callable
from typing import Any

import pytest

from fedrela.core.bundle import Bundle
from fedrela.core.errors import FedRelaError
from fedrela.edge.client import Outcome
from fedrela.edge.storage.store import MemoryStore
from tests.edge.network.test_fuzz import MaliciousCoordinator, session, time_limit

Change = Callable[[bytes], bytes]


def edited(*path: Any, to: Any) -> Change:
    """JSON with another value at a path."""

    def change(body: bytes) -> bytes:
        document = json.loads(body)
        inner = document
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = to
        return json.dumps(document).encode()

    return change


def without(*path: Any) -> Change:
    """JSON without what is at a path."""

    def change(body: bytes) -> bytes:
        document = json.loads(body)
        inner = document
        for step in path[:-1]:
            inner = inner[step]
        inner.pop(path[-1])
        return json.dumps(document).encode()

    return change


def of_tensors(
    shape: list[int], dtype: str = "F32", name: str = "train_step.0.loss_sum", data: bytes = bytes(4)
) -> Change:
    """A safetensors file of one tensor."""
    header = json.dumps({name: {"dtype": dtype, "shape": shape, "data_offsets": [0, len(data)]}}).encode()
    return lambda _: struct.pack("<Q", len(header)) + header + data


def outputs_twice(body: bytes) -> bytes:
    document = json.loads(body)
    document["train_step"]["outputs"] *= 2
    return json.dumps(document).encode()


def stray_anchor(body: bytes) -> bytes:
    document = json.loads(body)
    anchor = {"name": "anchor.zz", "role": "anchor", "shape": [3], "dtype": "float32"}
    document["train_step"]["inputs"].append(anchor)
    return json.dumps(document).encode()


STEP = ("train_step", "inputs")
MANIFESTS = {
    "a parameter of any batch": edited(*STEP, 0, "shape", to=["B", 3]),
    "a hundred dimensions": edited(*STEP, 0, "shape", to=[1] * 100),
    "a product that overflows": edited(*STEP, 0, "shape", to=[2**31 - 1] * 3),
    "a dimension that overflows": edited(*STEP, 0, "shape", to=[2**63]),
    "a negative dimension": edited(*STEP, 0, "shape", to=[-1, 3]),
    "a dtype that is none": edited(*STEP, 4, "dtype", to="x"),
    "a dtype of objects": edited(*STEP, 4, "dtype", to="O"),
    "a dtype of texts": edited(*STEP, 4, "dtype", to="U9"),
    "an optimizer's state of any batch": edited(*STEP, 3, "shape", to=["B"]),
    "a letter for a size": edited(*STEP, 9, "shape", to=["B", "x"]),
    "a rate of five numbers": edited(*STEP, 7, "shape", to=[5]),
    "no role": without(*STEP, 0, "role"),
    "an unknown role": edited(*STEP, 0, "role", to="secret"),
    "no examples": without(*STEP, 4),
    "no labels": without(*STEP, 5),
    "no outputs": edited("train_step", "outputs", to=[]),
    "outputs twice": outputs_twice,
    "an anchor of nothing": stray_anchor,
    "re-labeling without labels": without("relabel", "inputs", 1),
    "prediction without parameters": without("predict", "inputs", 0),
    "an empty hash": edited("predict", "files", 0, "sha256", to=""),
    "a hash that is none": edited("golden", "sha256", to="../" * 20),
    "a negative size": edited("golden", "size_bytes", to=-1),
    "a size of exabytes": edited("predict", "files", 0, "size_bytes", to=2**60),
    "too many classes": edited("classes", to=10**18),
    "other classes": edited("classes", to=2),
    "no version of a runtime": edited("predict", "files", 0, "min_runtime_version", to=" "),
    "a negative batch": edited("train_step", "files", 0, "max_batch", to=-1),
    "a tolerance that allows all": edited("golden", "tolerance", to=1e308),
    "a tolerance that allows much": edited("golden", "tolerance", to=0.01),
    "a seed of a hundred bits": edited("golden", "seed", to=10**30),
    "steps without end": edited("golden", "steps", to=10**9),
}
TASKS = {
    "epochs without end": edited("local", to={"epochs": 10**30}),
    "a batch of terabytes": edited("local", to={"batch_size": 10**12}),
    "passes without end": edited("relabel", to={"passes": 10**9}),
    "a seed of 400 digits": edited("seed", to=10**400),
    "a rate beyond float32": edited("local", to={"epochs": 1, "hyperparameters": {"lr": 1e308}}),
    "a hyperparameter that is none": edited("local", to={"epochs": 1, "hyperparameters": {"x": 1.0}}),
    "over-selection without end": edited("round", to={"over_selection": 1e308}),
    "a lease without end": edited("round", to={"compute_lease_seconds": 1e308}),
    "hardly anything of an update": edited("aggregation", to={"encoding": "top-k", "top_k_fraction": 1e-300}),
}
GOLDENS = {
    "a hundred dimensions": of_tensors([1] * 100),
    "whole numbers": of_tensors([1], "I64", data=bytes(8)),
    "a dtype that is none": of_tensors([1], "x"),
    "a shape beyond the data": of_tensors([10**9]),
    "a product that overflows": of_tensors([2**31 - 1] * 9),
    "no elements, and a product that overflows": of_tensors([0, *[2**31 - 1] * 9], data=b""),
    "an output of nobody's": of_tensors([1], name="train_step.0.new.zz"),
    "a name without a step": of_tensors([1], name="train_step"),
    "slack for everything": of_tensors([1], name="slack.train_step.0.loss_sum"),
}
WEIGHTS = {
    "a hundred dimensions": of_tensors([1] * 100, name="w"),
    "a shape beyond the data": of_tensors([10**9], name="w", data=bytes(100)),
    "a dtype that is none": of_tensors([1], "x", name="w"),
    "not a number": of_tensors([1], name="w", data=b"\0\0\xc0\x7f"),
    "texts": lambda _: b"not a file of tensors",
}
CASES = [
    *(("manifest", name, change) for name, change in MANIFESTS.items()),
    *(("task", name, change) for name, change in TASKS.items()),
    *(("golden", name, change) for name, change in GOLDENS.items()),
    *(("checkpoint", name, change) for name, change in WEIGHTS.items()),
]


@pytest.mark.parametrize(("part", "name", "change"), CASES, ids=[f"{part}: {name}" for part, name, _ in CASES])
def test_what_no_device_can_use_is_given_up_with_a_code(
    small_bundle: Bundle, part: str, name: str, change: Change
) -> None:
    with time_limit():
        result = session(MaliciousCoordinator(small_bundle, part, change, sign=True), MemoryStore())
    assert isinstance(result, Outcome), result
    expected = "uploaded" if name == "hardly anything of an update" else "dropped"
    assert result.kind == expected, result


ASSIGNMENTS = {
    "a round of 400 digits": {"round": 10**400},
    "a checkpoint of terabytes": {"checkpoint_bytes": 10**30},
    "a lease without end": {"compute_lease_seconds": 1e308},
    "a negative lease": {"compute_lease_seconds": -5.0},
    "a task's name that is none": {"task_id": "\u2028<script>"},
    "an empty hash": {"task_sha256": ""},
    "a seal that is a list": {"seal": []},
    "a seal of nothing": {"seal": {"manifest_sha256": "", "weights_sha256": "", "public_key": "", "signature": ""}},
}


@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_an_assignment_that_is_none_is_refused_whole(small_bundle: Bundle, name: str) -> None:
    change = lambda body: edited("assignment", to=json.loads(body)["assignment"] | ASSIGNMENTS[name])(body)  # noqa: E731
    with time_limit():
        result = session(MaliciousCoordinator(small_bundle, "check-in", change, sign=True), MemoryStore())
    assert isinstance(result, FedRelaError), result
