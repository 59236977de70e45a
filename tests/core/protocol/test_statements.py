"""What keys sign: every part of it counts, and no secret is in it."""

import dataclasses
from typing import Any

import pytest

from fedrela.core import signing
from fedrela.core.protocol import statements
from fedrela.core.wire import Assignment

ASSIGNMENT = Assignment("a-1", "t-1", 3, "1" * 64, "2" * 64, "3" * 64, 4, 300.0, 60.0, "upload-token")
BOUND_TO = {"device_id": "d-1", "population": "default", "nonce": "0f" * 16}
CHANGES: dict[str, Any] = {
    "assignment_id": "a-2", "task_id": "t-2", "round": 9, "task_sha256": "9" * 64, "manifest_sha256": "9" * 64,
    "checkpoint_sha256": "9" * 64, "checkpoint_bytes": 5, "compute_lease_seconds": 300.001,
    "upload_lease_seconds": 60.001, "epoch": 2, "clip_millionths": 64_000_000,
}  # fmt: skip


def test_every_member_of_an_assignment_is_signed_or_a_secret_or_the_signature() -> None:
    fields = {field.name for field in dataclasses.fields(Assignment)}
    assert fields == {*CHANGES, "upload_token", "signature", "seal"}  # the seal is signed by another: its publisher


@pytest.mark.parametrize("name", CHANGES)
def test_an_assignment_that_differs_in_one_member_is_another(name: str) -> None:
    changed = dataclasses.replace(ASSIGNMENT, **{name: CHANGES[name]})
    assert statements.assignment(changed, **BOUND_TO) != statements.assignment(ASSIGNMENT, **BOUND_TO)


@pytest.mark.parametrize("name", BOUND_TO)
def test_an_assignment_is_bound_to_its_device_and_check_in(name: str) -> None:
    other = statements.assignment(ASSIGNMENT, **BOUND_TO | {name: "another"})
    assert other != statements.assignment(ASSIGNMENT, **BOUND_TO)


def test_no_secret_is_in_what_is_signed() -> None:
    assert b"token" not in statements.assignment(ASSIGNMENT, **BOUND_TO)


def test_no_two_statements_begin_alike() -> None:
    key = signing.public_key("11" * 32)
    every = (
        statements.assignment(ASSIGNMENT, **BOUND_TO),
        statements.enrollment("token", key, "0f" * 16),
        statements.key_rotation(key, key),
    )
    assert len({statement.split(b"\n")[0] for statement in every}) == len(every)
