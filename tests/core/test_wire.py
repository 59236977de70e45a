"""Messages: no field could carry a label or a count of them, signatures cover what a device runs."""

import dataclasses
import inspect
import json

import pytest

from fedrela.core import strict, wire
from fedrela.core.errors import InvalidMessage
from fedrela.core.wire import Assignment, CheckIn, UpdateMetadata

ASSIGNMENT = Assignment("a", "t", 3, "1" * 64, "2" * 64, "3" * 64, 10, 60.0, 30.0, "token")


def messages():
    return [cls for _, cls in inspect.getmembers(wire, inspect.isclass) if cls.__module__ == "fedrela.core.wire"]


def test_what_a_device_may_say_is_exactly_this():
    """The complete list of what can leave a device. Read this test before adding a field."""
    sent = {
        cls.__name__: {field.name for field in dataclasses.fields(cls)}
        for cls in (wire.EnrollRequest, CheckIn, UpdateMetadata, wire.FailureReport, wire.EvaluationReport)
    }
    assert sent == {
        "EnrollRequest": {"enrollment_token", "public_key", "coordinator", "signature", "certificate", "protocol"},
        "CheckIn": {"population", "client", "runtimes", "nonce", "features", "protocol"},
        "UpdateMetadata": {"examples", "encoding", "protocol"},
        "FailureReport": {"code", "protocol"},
        "EvaluationReport": {"loss_sum", "correct", "examples", "protocol"},
    }


def test_every_message_is_a_frozen_dataclass():
    for cls in messages():
        assert dataclasses.is_dataclass(cls)
        assert cls.__dataclass_params__.frozen


def test_json_round_trip():
    response = wire.CheckInResponse(assignment=ASSIGNMENT)
    assert strict.from_json(wire.CheckInResponse, strict.to_json(response)) == response
    waiting = wire.CheckInResponse(wait=wire.Wait(2.5, "round-full"))
    assert strict.from_json(wire.CheckInResponse, strict.to_json(waiting)) == waiting


@pytest.mark.parametrize("body", [b"{}", b'{"population":"p","client":1,"runtimes":[]}', b"[]"])
def test_missing_and_malformed_fields_are_refused(body):
    with pytest.raises(InvalidMessage):
        strict.from_json(CheckIn, body)


def test_what_a_newer_side_says_besides_is_ignored():
    members = b'"population":"p","client":"python 9.0","runtimes":[],"nonce":"' + b"0f" * 16 + b'"'
    known = strict.from_json(CheckIn, b"{" + members + b"}")
    body = b"{" + members + b',"colors":{"a":[1]}}'
    assert strict.from_json(CheckIn, body) == known
    late = b'{"wait":{"retry_after_seconds":5,"reason":"moon-phase","until":9},"hint":"x"}'
    wait = strict.from_json(wire.CheckInResponse, late).wait
    assert wait is not None
    assert (wait.retry_after_seconds, wait.known_reason()) == (5.0, "later")
    assert wire.Wait(1.0, "paused").known_reason() == "paused"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("assignment_id", "a/b"),
        ("task_id", ""),
        ("task_id", "t" * 201),
        ("round", 0),
        ("task_sha256", "A" * 64),
        ("checkpoint_bytes", 0),
        ("compute_lease_seconds", -1),
        ("upload_lease_seconds", 2**32 + 1),
        ("upload_token", "two words"),
        ("signature", "0" * 201),
    ],
)
def test_an_assignment_that_could_not_be_used_safely_is_refused(field, value):
    body = json.loads(strict.to_json(wire.CheckInResponse(assignment=ASSIGNMENT)))
    body["assignment"][field] = value
    with pytest.raises(InvalidMessage, match=f"assignment.{field}"):
        strict.from_json(wire.CheckInResponse, json.dumps(body))


@pytest.mark.parametrize("body", [b"{}", strict.to_json({"wait": wire.Wait(1.0, "paused"), "assignment": ASSIGNMENT})])
def test_an_answer_is_exactly_one_of_assignment_and_wait(body):
    with pytest.raises(InvalidMessage, match="exactly one"):
        strict.from_json(wire.CheckInResponse, body)


def test_versions_and_names_are_checked():
    wire.check_protocol(1)
    wire.check_sha256_name("a" * 64)
    for call in (lambda: wire.check_protocol(2), lambda: wire.check_sha256_name("../../etc/passwd")):
        with pytest.raises(InvalidMessage):
            call()


def test_update_metadata_round_trip():
    metadata = UpdateMetadata(7, "int8")
    assert wire.read_update_metadata(metadata.as_strings()) == metadata
