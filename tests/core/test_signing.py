"""Hashes and Ed25519 against RFC 8032's first test vector, and every forgery."""

import pytest

from fedrela.core import signing
from fedrela.core.errors import IntegrityError

# RFC 8032, section 7.1, TEST 1 (empty message).
SECRET = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
PUBLIC = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
SIGNATURE = (
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe2465"
    "5141438e7a100b"
)


def test_rfc_8032_vector():
    assert signing.public_key(SECRET) == PUBLIC
    assert signing.sign(SECRET, b"") == SIGNATURE
    signing.verify(PUBLIC, b"", SIGNATURE)


def test_a_generated_key_signs_and_verifies():
    key = signing.generate_key()
    signing.verify(signing.public_key(key), b"m", signing.sign(key, b"m"))
    assert signing.generate_key() != key


@pytest.mark.parametrize(
    ("public", "message", "signature"),
    [
        (PUBLIC, b"x", SIGNATURE),
        (PUBLIC, b"", "00" * 64),
        (PUBLIC, b"", "zz"),
        (PUBLIC, b"", ""),
        ("", b"", SIGNATURE),
        (signing.public_key("11" * 32), b"", SIGNATURE),
    ],
)
def test_forgeries_are_refused(public, message, signature):
    with pytest.raises(IntegrityError):
        signing.verify(public, message, signature)


def test_sha256_is_fips_180_4():
    assert signing.sha256(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    signing.check_sha256(b"abc", signing.sha256(b"abc"), "file")
    with pytest.raises(IntegrityError, match="file"):
        signing.check_sha256(b"abd", signing.sha256(b"abc"), "file")
