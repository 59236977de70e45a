"""Each fault of failures.json is reported with its code: played by a case of http.json, or raised here for real."""

from collections.abc import Callable
from typing import Any

import pytest

from fedrela.conformance.files import ROUNDS_BUNDLE, read_json
from fedrela.conformance.server.cases import load
from fedrela.core import bundle, signing, tensors
from fedrela.core.errors import IntegrityError, InvalidTensors
from fedrela.core.protocol import seals
from fedrela.edge.engines.onnx_engine import OnnxEngine
from fedrela.edge.engines.pool import choose, self_test
from fedrela.edge.network.fetch import check_features, parse_manifest, parse_task
from fedrela.edge.training import examples
from fedrela.edge.training.examples import Examples
from fedrela.edge.training.faults import failure_code
from fedrela.edge.training.work import AssignmentFailed

MANIFEST = bundle.read(ROUNDS_BUNDLE).manifest


def raised(fault: Exception) -> Callable[[], Any]:
    def run() -> None:
        raise fault

    return run


def engine(program: bytes) -> OnnxEngine:
    return OnnxEngine(MANIFEST, dict.fromkeys(("train_step", "predict", "relabel"), program))


def whole() -> OnnxEngine:
    names = ("train_step", "predict", "relabel")
    return OnnxEngine(MANIFEST, {name: (ROUNDS_BUNDLE / f"{name}.onnx").read_bytes() for name in names})


def spoilt() -> bytes:
    recorded = tensors.read((ROUNDS_BUNDLE / "golden.safetensors").read_bytes())
    return tensors.to_bytes(recorded | {"predict.0.probabilities": recorded["predict.0.probabilities"] + 1})


FAULTS: dict[str, Callable[[], Any]] = {
    "the pinned key did not sign the assignment": lambda: signing.verify("00" * 32, b"", "00" * 64),
    "no publisher that the link names has signed the program": lambda: seals.check(None, "00" * 32, ()),
    "a blob does not match its hash, three times": lambda: signing.check_sha256(b"", "00" * 32, "a blob"),
    "a blob is longer than announced": raised(IntegrityError("too long", remedy="none")),
    "a task is longer than 1 000 000 bytes, a manifest than 16 000 000": raised(IntegrityError("", remedy="")),
    "more bytes are announced than the model needs or this device takes": raised(IntegrityError("", remedy="")),
    "the golden steps give other outputs": lambda: self_test(whole(), spoilt()),
    "the golden outputs can't be compared": lambda: self_test(whole(), b"no tensors"),
    "the bundle has no program for a runtime of this device": lambda: choose(MANIFEST, ("executorch",)),
    "the programs need a newer runtime": lambda: choose(MANIFEST, ()),
    "the runtime can't load a program": lambda: engine(b"no program").run("predict", {}),
    "the task requires a feature that this client doesn't know": lambda: check_features("task", ("telepathy",)),
    "the manifest requires a feature that this client doesn't know": lambda: check_features("manifest", ("x",)),
    "this device holds fewer examples than the task asks for": raised(AssignmentFailed("not-eligible", "few")),
    "the local data can't be used, or fed to this model": lambda: examples.check(Examples({}, [0]), MANIFEST),  # type: ignore[arg-type]
    "the lease ended while training was paused": raised(AssignmentFailed("not-eligible", "paused")),
    "the global model predicts values that are not finite": raised(AssignmentFailed("model-unusable", "no numbers")),
    "the lease ended while training": raised(AssignmentFailed("timed-out", "late")),
    "the lease ended before the upload": raised(AssignmentFailed("timed-out", "late")),
    "the task is malformed": lambda: parse_task(b"{"),
    "a value of the task is beyond its limits": lambda: parse_task(b'{"name":"a","rounds":0}'),
    "the manifest is malformed or breaks a rule": lambda: parse_manifest(b"{}"),
    "the weights are malformed or not those of the manifest": lambda: tensors.from_bytes(b"", MANIFEST.weights),
    "the loss is no longer finite": raised(InvalidTensors("the loss", remedy="none")),
    "predictions on the local data are not finite": raised(InvalidTensors("the predictions", remedy="none")),
    "a program fails while it runs": lambda: whole().run("predict", {}),
    "there is not enough memory": raised(MemoryError()),
}


@pytest.mark.parametrize("item", read_json("failures.json")["faults"], ids=lambda item: item["fault"])
def test_a_fault_has_its_code(item: dict[str, str]) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        FAULTS[item["fault"]]()
    assert failure_code(caught.value) == item["code"]


def test_the_cases_that_play_a_fault_end_with_its_code() -> None:
    cases = load()
    for item in read_json("failures.json")["faults"]:
        if item["case"]:
            assert cases[item["case"]].right[0].log[-1] == f"failure:{item['code']}", item
