"""The boundary to the library `cryptography`: the four primitives of secure aggregation, on raw bytes.

All keys are 32 bytes. X25519: RFC 7748; HKDF-SHA256: RFC 5869; ChaCha20 and ChaCha20-Poly1305: RFC 8439, always with
nonce 0, so that a key must never encrypt twice: each is derived for one session, one purpose and one direction.

    >>> agree(b"a" * 32, public_key(b"b" * 32)) == agree(b"b" * 32, public_key(b"a" * 32))
    True
"""

from collections.abc import Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fedrela.core.errors import IntegrityError

KEY_BYTES = 32
TAG_BYTES = 16
SALT = b"fedrela/v1/secure"
STRIP_BYTES = 1 << 20  # of a keystream at a time, so that a pad takes no memory of its own

# A private key that changes no public key: -1 modulo the order of the base point (RFC 7748, section 4.1), and, like
# every private key, a multiple of 8.
_MINUS_ONE = (5 * (2**252 + 27742317777372353535851937790883648493) - 1).to_bytes(KEY_BYTES, "little")
_NONCE = bytes(12)
_COUNTER_AND_NONCE = bytes(16)


def public_key(private_key: bytes) -> bytes:
    """The X25519 public key of 32 random bytes."""
    return X25519PrivateKey.from_private_bytes(private_key).public_key().public_bytes_raw()


def agree(private_key: bytes, other_public_key: bytes) -> bytes:
    """The X25519 secret that both sides compute.

    Raises IntegrityError for a public key of small order, with which everybody would know the secret: it is all zeros.
    """
    try:
        return X25519PrivateKey.from_private_bytes(private_key).exchange(
            X25519PublicKey.from_public_bytes(other_public_key)
        )
    except ValueError as error:
        raise IntegrityError(
            "a member's key gives away every secret made with it", remedy="nothing more is sent; tell the operator"
        ) from error


def check_agreement_key(key: bytes) -> None:
    """Raise IntegrityError for an X25519 key that belongs to no private key.

    X25519 takes any 32 bytes. Some agree on the same secrets as another member's key without being equal to it: written
    in another way, or with a point of small order added. Two such members would have one pad with a third, added and
    taken off, and it would hide nothing. Minus a point has the point's own coordinate, and eight times a point has no
    part of small order, so that of all keys only those of private keys stay as they are.
    """
    if agree(_MINUS_ONE, key) != key:
        raise IntegrityError(
            "a member's key is no private key's, but may be another member's in disguise",
            remedy="nothing more is sent; tell the operator",
        )


def derive_key(secret: bytes, info: bytes) -> bytes:
    """HKDF-SHA256 of `secret` under `SALT`, for the purpose that `info` names; 32 bytes."""
    return HKDF(hashes.SHA256(), KEY_BYTES, SALT, info).derive(secret)


def keystream(key: bytes, size: int) -> Iterator[bytes]:
    """The first `size` bytes of ChaCha20's keystream from counter 0 on, in strips of at most `STRIP_BYTES`."""
    encryptor = Cipher(algorithms.ChaCha20(key, _COUNTER_AND_NONCE), None).encryptor()
    zeros = bytes(min(size, STRIP_BYTES))
    for start in range(0, size, STRIP_BYTES):
        yield encryptor.update(zeros[: size - start])


def seal(key: bytes, plaintext: bytes) -> bytes:
    """ChaCha20-Poly1305 of `plaintext`, `TAG_BYTES` longer. `key` must not seal anything else, ever."""
    return ChaCha20Poly1305(key).encrypt(_NONCE, plaintext, None)


def unseal(key: bytes, sealed: bytes) -> bytes:
    """What was sealed. Raises IntegrityError where a byte was changed or the key is another."""
    try:
        return ChaCha20Poly1305(key).decrypt(_NONCE, sealed, None)
    except (InvalidTag, ValueError) as error:
        raise IntegrityError("a sealed share was changed, or is for somebody else", remedy="leave it out") from error
