"""The Python implementation passes every conformance vector, and the vectors are those that the command writes."""

import base64
import json
from typing import Any

import numpy as np
import pytest

from fedrela.conformance import field_table
from fedrela.conformance.files import PAGE, VECTORS, read_json, write_json
from fedrela.conformance.generate import DOCUMENTS
from fedrela.conformance.message_cases import PARSERS
from fedrela.core import encodings, golden, signing, streams, tensors
from fedrela.core.encodings import UpdateMetadata
from fedrela.core.errors import IntegrityError, InvalidData, InvalidInput, InvalidTensors
from fedrela.core.protocol import key_chain, seals, signed_requests, statements, task_json
from fedrela.core.protocol.key_chain import KeyChain, KeyRotation
from fedrela.core.streams import Stream
from fedrela.core.tensors import TensorSpec
from fedrela.core.wire import Assignment
from fedrela.edge.training import classes, holdout
from fedrela.edge.training.examples import Examples, Overlay


@pytest.mark.parametrize("name", DOCUMENTS)
def test_committed_vectors_are_what_the_command_writes(name, tmp_path):
    write_json(tmp_path / name, DOCUMENTS[name]())
    assert (tmp_path / name).read_text() == (VECTORS / name).read_text()


def test_the_page_s_table_of_a_task_s_fields_is_what_the_command_writes():
    page = PAGE.read_text()
    assert field_table.insert(page) == page
    assert len(field_table.rows()) > 50


def _stream(case: dict[str, Any]) -> Stream:
    return Stream((case["key"][0], case["key"][1]), (case["nonce"][0], case["nonce"][1]))


def test_philox_gives_the_published_answers():
    for case in read_json("streams.json")["philox4x32_10"]:
        counter = np.array([[int(word, 16) for word in case["counter"]]], np.uint32)
        key = (int(case["key"][0], 16), int(case["key"][1], 16))
        assert [f"{word:08x}" for word in streams.philox4x32(counter, key)[0]] == case["output"]


def test_streams():
    document = read_json("streams.json")
    for case in document["derive"]:
        assert streams.derive(bytes.fromhex(case["secret"]), *case["labels"]) == _stream(case)
    for case in document["words"]:
        assert streams.words(_stream(case), case["count"]).tolist() == case["words"]
    for case in document["uniforms"]:
        got = streams.uniforms(_stream(case), tuple(case["shape"]))
        assert got.shape == tuple(case["shape"])
        assert got.reshape(-1).tolist() == [numerator / 2**24 for numerator in case["numerators"]]
    for case in document["permutation"]:
        assert streams.permutation(_stream(case), case["n"]).tolist() == case["permutation"]


def test_learning_rates():
    for case in read_json("learning-rates.json")["cases"]:
        task = task_json.decode(json.dumps(case["task"]))
        assert [task.lr_factor(number) for number, _ in case["factors"]] == [factor for _, factor in case["factors"]]


@pytest.mark.parametrize("case", read_json("golden-errors.json")["cases"], ids=lambda case: case["name"])
def test_errors_of_golden_outputs(case):
    expected, actual = (np.array(case[name], float) for name in ("expected", "actual"))
    before = np.array(0.0 if case["before"] is None else case["before"], float)
    found = golden.relative_error(expected, actual, before, float(case["slack"]))
    assert found == pytest.approx(float(case["error"]), rel=1e-12, abs=0)


def test_holdout():
    document = read_json("holdout.json")
    for case in document["split"]:
        keys = np.array(case["keys"], np.uint64)
        examples = Examples({"x": np.zeros((len(keys), 1), np.float32)}, np.zeros(len(keys), np.int64), keys)
        trained_on, held_out = holdout.split(examples, case["fraction"], bytes.fromhex(case["secret"]))
        assert held_out.keys.tolist() == case["held"]
        assert sorted([*trained_on.keys, *held_out.keys]) == sorted(keys)
    for case in document["totals"]:
        probabilities = np.array(case["probabilities"], np.float32).reshape(-1, case["classes"])
        report = holdout.totals(probabilities, np.array(case["labels"]))
        assert (report.correct, report.examples) == (case["correct"], case["examples"])
        assert abs(report.loss_sum - case["loss_sum"]) <= 1e-9 * case["loss_sum"]


@pytest.mark.parametrize("case", read_json("samples.json")["labels"], ids=lambda case: case["name"])
def test_labels_count_as_classes_where_they_are_declared(case):
    names = tuple(case["class_names"])
    if "refused" in case:
        with pytest.raises(InvalidData, match="the data have the labels"):
            classes.numbers(case["labels"], names, case["classes"])
    else:
        assert classes.numbers(case["labels"], names, case["classes"]).tolist() == case["numbers"]


@pytest.mark.parametrize("case", read_json("samples.json")["read_again"], ids=lambda case: case["name"])
def test_labels_stay_with_their_samples_when_data_are_read_again(case):
    made, later = case["made"], by_values(case["later"])
    overlay = Overlay.of(by_values(made), np.array(made["relabeled"]), generation=1)
    assert Overlay.from_bytes(overlay.to_bytes()).labels(later).tolist() == case["train_on"]


def by_values(data: dict[str, Any]) -> Examples:
    return Examples({"x": np.array(data["values"], np.uint8)[:, None]}, np.array(data["labels"], np.int64))


def test_safetensors():
    document = read_json("safetensors.json")
    for case in document["good"]:
        body = base64.b64decode(case["base64"])
        arrays = tensors.read(body)
        assert tensors.read_metadata(body) == case["metadata"]
        assert set(arrays) == set(case["tensors"])
        for name, want in case["tensors"].items():
            assert arrays[name].dtype.name == want["dtype"]
            assert list(arrays[name].shape) == want["shape"]
            assert arrays[name].reshape(-1).tolist() == want["values"]


@pytest.mark.parametrize("case", read_json("safetensors.json")["malformed"], ids=lambda case: case["name"])
def test_malformed_safetensors_are_refused(case):
    with pytest.raises(InvalidTensors):
        tensors.read(base64.b64decode(case["base64"]))


@pytest.mark.parametrize("case", read_json("safetensors.json")["unfit"]["files"], ids=lambda case: case["name"])
def test_tensors_that_do_not_fit_are_refused(case):
    unfit = read_json("safetensors.json")["unfit"]
    specs = [TensorSpec(spec["name"], tuple(spec["shape"]), spec["dtype"]) for spec in unfit["specs"]]
    assert set(tensors.from_bytes(base64.b64decode(unfit["fitting"]), specs)) == {"w", "b"}
    with pytest.raises(InvalidTensors):
        tensors.from_bytes(base64.b64decode(case["base64"]), specs)


def test_hashes_and_signed_messages():
    document = read_json("signing.json")
    for case in document["sha256"]:
        assert signing.sha256(bytes.fromhex(case["message"])) == case["sha256"]
    seal = document["seal"]
    assert seals.message(seal["manifest_sha256"], seal["weights_sha256"]).hex() == seal["message"]
    sealed = seals.Seal(seal["manifest_sha256"], seal["weights_sha256"], seal["public_key"], seal["signature"])
    seals.check(sealed, seal["manifest_sha256"], (seal["fingerprint"],))
    for case in document["assignments"]:
        bound_to = (case["device_id"], case["population"], case["nonce"])
        message = statements.assignment(Assignment(**case["assignment"]), *bound_to)
        assert message.hex() == case["message"]
        signing.verify(case["public_key"], message, case["signature"])
    case = document["enrollment"]
    assert signing.fingerprint(case["coordinator_key"]) == case["coordinator"]
    message = statements.enrollment(case["enrollment_token"], case["public_key"], case["coordinator"])
    assert message.hex() == case["message"]
    signing.verify(case["public_key"], message, case["signature"])


@pytest.mark.parametrize("case", read_json("signing.json")["requests"], ids=lambda case: case["method"])
def test_signed_requests(case):
    body = bytes.fromhex(case["body"])
    assert signed_requests.headers(case["private_key"], case["method"], case["path"], body) == case["headers"]
    signer = signed_requests.signer(case["method"], case["path"], case["headers"])
    assert signer == signing.public_key(case["private_key"])


@pytest.mark.parametrize("case", read_json("signing.json")["key_chains"], ids=lambda case: case["name"])
def test_chains_of_keys(case):
    chain = KeyChain(tuple(KeyRotation(**rotation) for rotation in case["rotations"]))
    if case["newest"] is None:
        with pytest.raises(IntegrityError):
            key_chain.newest(chain, case["pinned"])
    else:
        assert key_chain.newest(chain, case["pinned"]) == case["newest"]


@pytest.mark.parametrize("case", read_json("signing.json")["ed25519"], ids=lambda case: case.get("name", "good"))
def test_signatures(case):
    arguments = case["public_key"], bytes.fromhex(case["message"]), case["signature"]
    if case["valid"]:
        signing.verify(*arguments)
    else:
        with pytest.raises(IntegrityError):
            signing.verify(*arguments)


@pytest.mark.parametrize("kind", PARSERS)
def test_messages(kind):
    """Every body is taken or refused as the document says, and refused by an error of ours alone."""
    for case in read_json("messages.json")["cases"]:
        if case["kind"] == kind:
            body = base64.b64decode(case["base64"]) if "base64" in case else case["body"].encode()
            try:
                PARSERS[kind](body)
                accepted = True
            except InvalidInput:
                accepted = False
            assert accepted == case["valid"], case["name"]


def test_encodings():
    document = read_json("encodings.json")
    secret = document["stream"]
    stream = streams.derive(bytes.fromhex(secret["secret"]), *secret["labels"])
    specs = tuple(TensorSpec(spec["name"], tuple(spec["shape"])) for spec in document["specs"])
    for case in document["encode"]:
        change = tensors.from_bytes(base64.b64decode(case["change"]), specs)
        before = tensors.read(base64.b64decode(case["residual_before"])) if case["residual_before"] else None
        body, dropped = encodings.encode(
            change,
            UpdateMetadata(case["examples"], case["encoding"]),
            stream=stream,
            statistics=document["statistics"],
            residual=before,
            top_k_fraction=document["top_k_fraction"],
        )
        assert base64.b64encode(body).decode() == case["body"]
        assert (tensors.to_bytes(dropped) if dropped else b"") == base64.b64decode(case["residual"])
        decoded, metadata = encodings.decode(body, specs, case["encoding"], document["statistics"])
        assert metadata.examples == case["examples"]
        assert set(decoded) == set(change)
