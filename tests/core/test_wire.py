"""Messages: no field could carry a label or a count of them, signatures cover what a device runs."""

import dataclasses
import inspect

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
        "EnrollRequest": {"enrolment_token", "public_key", "protocol"},
        "CheckIn": {"population", "client_version", "runtimes", "protocol"},
        "UpdateMetadata": {"examples", "encoding", "protocol"},
        "FailureReport": {"code", "protocol"},
        "EvaluationReport": {"loss_sum", "correct", "examples", "protocol"},
    }


def test_every_message_is_a_frozen_dataclass():
    for cls in messages():
        assert dataclasses.is_dataclass(cls)
        assert cls.__dataclass_params__.frozen


def test_the_signature_covers_every_hash_and_not_the_secrets():
    for field in ("task_id", "round", "task_sha256", "manifest_sha256", "checkpoint_sha256"):
        changed = dataclasses.replace(ASSIGNMENT, **{field: 9 if field == "round" else "9" * 64})
        assert changed.message() != ASSIGNMENT.message()
    assert b"token" not in ASSIGNMENT.message()


def test_json_round_trip():
    response = wire.CheckInResponse(assignment=ASSIGNMENT)
    assert strict.from_json(wire.CheckInResponse, strict.to_json(response)) == response
    waiting = wire.CheckInResponse(wait=wire.Wait(2.5, "round-full"))
    assert strict.from_json(wire.CheckInResponse, strict.to_json(waiting)) == waiting


@pytest.mark.parametrize("body", [b"{}", b'{"population":"p","client_version":"1","runtimes":[],"labels":[1]}', b"[]"])
def test_missing_and_unknown_fields_are_refused(body):
    with pytest.raises(InvalidMessage):
        strict.from_json(CheckIn, body)


def test_versions_and_names_are_checked():
    wire.check_protocol(1)
    wire.check_sha256_name("a" * 64)
    for call in (lambda: wire.check_protocol(2), lambda: wire.check_sha256_name("../../etc/passwd")):
        with pytest.raises(InvalidMessage):
            call()


def test_update_metadata_round_trip():
    metadata = UpdateMetadata(7, "int8")
    assert wire.read_update_metadata(metadata.as_strings()) == metadata
