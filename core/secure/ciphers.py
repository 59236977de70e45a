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

_PRIME = 2**255 - 19
# The coordinates of all points of order 1, 2, 4 and 8, on the curve and on its twist: https://cr.yp.to/ecdh.html#validate
_SMALL_ORDER = {
    0,
    1,
    _PRIME - 1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
}
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
        raise _small_order() from error


def _small_order() -> IntegrityError:
    return IntegrityError("a member's key gives away every secret made with it", remedy="use a new key")


def check_agreement_key(key: bytes) -> None:
    """Raise IntegrityError for an X25519 key of small order, whatever it would be combined with.

    Its coordinate is one of a few, in one of three ways to write it: modulo the field's prime, the top bit ignored.
    """
    if (int.from_bytes(key, "little") % 2**255) % _PRIME in _SMALL_ORDER:
        raise _small_order()


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
