"""Secrets on the wire, against the definitions of SHA-256 and HMAC."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrela.coordinator.access import auth
from fedrela.core.errors import Refused

KEY = "11" * 32


def test_a_stored_token_is_its_plain_sha256() -> None:
    # FIPS 180-4's example message
    assert auth.hash_token("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_an_upload_token_is_the_hmac_of_rfc_2104() -> None:
    padded = bytes([0x11] * 32) + bytes(32)
    inner = hashlib.sha256(bytes(b ^ 0x36 for b in padded) + b"fedrela/v1/upload-token\na-1").digest()
    assert auth.upload_token(KEY, "a-1") == hashlib.sha256(bytes(b ^ 0x5C for b in padded) + inner).hexdigest()


@given(st.text("ab-\n", max_size=6), st.text("ab-\n", max_size=6))
@settings(deadline=None)
def test_upload_tokens_differ_exactly_when_assignments_do(left: str, right: str) -> None:
    assert auth.same(auth.upload_token(KEY, left), auth.upload_token(KEY, right)) == (left == right)
    assert auth.upload_token(KEY, left) != auth.upload_token("22" * 32, left)


@given(st.text("aAé€ ", max_size=4), st.text("aAé€ ", max_size=4))
@settings(deadline=None)
def test_same_is_equality_beyond_ascii_too(left: str, right: str) -> None:
    assert auth.same(left, right) == (left == right)


def test_tokens_and_names_are_fresh_and_fit_a_url() -> None:
    tokens, names = {auth.new_token() for _ in range(50)}, {auth.new_id("d") for _ in range(50)}
    assert len(tokens) == len(names) == 50
    assert all(len(token) == 43 and token.replace("-", "").replace("_", "").isalnum() for token in tokens)
    assert all(name.startswith("d-") and len(bytes.fromhex(name[2:])) == 12 for name in names)


@pytest.mark.parametrize("header", ["Bearer t-1", "bearer t-1", "BEARER   t-1  "])
def test_a_bearer_token_is_read_whatever_the_case_of_its_scheme(header: str) -> None:
    assert auth.bearer(header) == "t-1"


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Bearer    ", "Basic t-1", "t-1", " Bearer t-1"])
def test_anything_else_gets_the_one_answer(header: str | None) -> None:
    with pytest.raises(Refused) as caught:
        auth.bearer(header)
    assert (caught.value.status, caught.value.code) == (401, "unauthenticated")
    assert str(caught.value) == str(auth.unauthenticated())  # says nothing of what was sent
