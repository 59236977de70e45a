"""Content hashes and Ed25519 signatures (RFC 8032).

Keys and signatures travel as lower-case hexadecimal: 32 bytes a key, 64 bytes a signature.

    >>> key = generate_key()
    >>> verify(public_key(key), b"message", sign(key, b"message"))
"""

import hashlib
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from fedrela.core.errors import IntegrityError


def sha256(body: bytes | bytearray) -> str:
    """The SHA-256 of `body` as 64 hexadecimal digits: the name of a blob."""
    return hashlib.sha256(body).hexdigest()


def generate_key() -> str:
    """A new private key."""
    return Ed25519PrivateKey.generate().private_bytes_raw().hex()


def public_key(private_key: str) -> str:
    """The public half of a private key."""
    return _private(private_key).public_key().public_bytes_raw().hex()


def fingerprint(public: str) -> str:
    """A public key in 32 hexadecimal digits, for links and for people: the beginning of its SHA-256."""
    return sha256(bytes.fromhex(public))[:32]


def sign(private_key: str, message: bytes) -> str:
    """The signature of `message`."""
    return _private(private_key).sign(message).hex()


def verify(public: str, message: bytes, signature: str) -> None:
    """Raise IntegrityError unless `signature` over `message` was made by the owner of `public`."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(bytes.fromhex(signature), message)
    except (InvalidSignature, ValueError) as error:
        raise IntegrityError(
            "a signature does not match the pinned key",
            remedy="do not use these bytes; enroll again if the key changed",
        ) from error


def check_sha256(body: bytes, expected: str, name: str) -> None:
    """Raise IntegrityError unless the hash of `body` is `expected`."""
    if sha256(body) != expected:
        raise IntegrityError(
            f"{name} does not match its hash {expected[:12]}", remedy="fetch it again; the bytes were damaged or forged"
        )


@lru_cache(maxsize=16)
def _private(private_key: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(private_key))
