"""Signatures of requests: whatever of a request is changed, and whoever else signs it, it is refused."""

import base64

import pytest

from fedrela.core import signing
from fedrela.core.errors import Refused
from fedrela.core.protocol import signed_requests
from fedrela.core.protocol.signed_requests import CONTENT_DIGEST, SIGNATURE, SIGNATURE_INPUT

KEY, FORGER = "5e" * 32, "11" * 32
PATH, BODY = "/v1/check-ins", b'{"protocol":1}'
SIGNED = signed_requests.headers(KEY, "POST", PATH, BODY)


def refused(method: str, path: str, headers: dict[str, str]) -> bool:
    """Whether a request is refused as not signed."""
    with pytest.raises(Refused) as refusal:
        signed_requests.signer(method, path, headers)
    return (refusal.value.status, refusal.value.code) == (401, "bad-signature")


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST", "PUT"])
def test_a_signed_request_names_its_signer(method: str) -> None:
    headers = signed_requests.headers(KEY, method, PATH, BODY)
    assert signed_requests.signer(method, PATH, headers) == signing.public_key(KEY)
    assert (CONTENT_DIGEST in headers) == (method in ("POST", "PUT"))


def test_another_method_path_or_body_is_refused() -> None:
    assert refused("PUT", PATH, SIGNED)
    assert refused("GET", PATH, SIGNED)
    assert refused("POST", PATH + "/", SIGNED)
    assert refused("POST", PATH, SIGNED | {CONTENT_DIGEST: signed_requests.content_digest(BODY + b" ")})


@pytest.mark.parametrize("name", SIGNED)
def test_a_header_that_is_missing_or_odd_is_refused(name: str) -> None:
    assert refused("POST", PATH, {key: value for key, value in SIGNED.items() if key != name})
    for odd in ("", " ", SIGNED[name] + " ", SIGNED[name][:-1], SIGNED[name] * 2, SIGNED[name].replace("=", "", 1)):
        assert refused("POST", PATH, SIGNED | {name: odd})


def test_a_signature_that_leaves_the_body_out_is_refused() -> None:
    without_body = signed_requests.headers(KEY, "GET", PATH, b"")
    assert refused("POST", PATH, without_body)
    assert refused("POST", PATH, without_body | {CONTENT_DIGEST: SIGNED[CONTENT_DIGEST]})


def test_another_s_signature_under_this_key_is_refused() -> None:
    forged = signed_requests.headers(FORGER, "POST", PATH, BODY)
    assert refused("POST", PATH, forged | {SIGNATURE_INPUT: SIGNED[SIGNATURE_INPUT]})
    assert refused("POST", PATH, SIGNED | {SIGNATURE_INPUT: forged[SIGNATURE_INPUT]})
    flipped = bytearray(base64.b64decode(SIGNED[SIGNATURE][9:-1]))
    flipped[0] ^= 1
    assert refused("POST", PATH, SIGNED | {SIGNATURE: f"fedrela=:{base64.b64encode(flipped).decode()}:"})


def test_a_body_that_is_not_the_digest_s_is_refused_and_may_be_sent_again() -> None:
    signed_requests.check_digest(SIGNED[CONTENT_DIGEST], BODY)
    for digest in (
        signed_requests.content_digest(BODY[:-1] + b"~"),
        "",
        "sha-512=:AA==:",
        SIGNED[CONTENT_DIGEST] + ",",
    ):
        with pytest.raises(Refused) as refusal:
            signed_requests.check_digest(digest, BODY)
        assert (refusal.value.status, refusal.value.code) == (400, "bad-digest")
