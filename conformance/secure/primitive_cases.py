"""Vectors for the primitives: the RFCs' own, then keys and pads as sessions derive them.

>>> build()["x25519"][0]["secret"][:8]
'4a5d9d5b'
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from fedrela.core.secure import ciphers, pads, sealing
from fedrela.core.secure.sealing import Address, Shares

# RFC 7748, section 6.1: Alice's and Bob's private keys, their secret.
RFC_7748 = (
    "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
    "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
    "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742",
)
# Curve25519's points of small order below the prime, as keys.
SMALL_ORDER = (
    "00" * 32,
    "01" + "00" * 31,
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
)
PRIME = 2**255 - 19
SESSION = bytes(range(32))
SIZES = (0, 1, 16, 17, 300)


def build() -> dict[str, Any]:
    """The document secure/primitives.json."""
    alice, bob, secret = (bytes.fromhex(text) for text in RFC_7748)
    assert ciphers.agree(alice, ciphers.public_key(bob)) == secret
    public = ciphers.public_key(bob)
    address = Address(SESSION, 3, 12)
    shares = Shares(bytes(range(32)), bytes(range(32, 64)))
    return {
        "x25519": [
            _agreed(alice, public),
            _agreed(bob, ciphers.public_key(alice)),
            *({"private_key": RFC_7748[0], "public_key": key, "secret": None} for key in SMALL_ORDER),
        ],
        "agreement_keys": [{"key": key.hex(), "taken": taken} for key, taken in _agreement_keys(public)],
        "hkdf": [
            {"secret": secret.hex(), "info": info.hex(), "key": ciphers.derive_key(secret, info).hex()}
            for info in (b"", b"pair" + SESSION, b"own" + SESSION, b"seal" + SESSION + bytes((3, 12)))
        ],
        "pads": [{"key": key.hex(), "words": _words(key, size)} for key in (bytes(32), secret) for size in SIZES],
        "pair_key": {
            "mask_key": alice.hex(),
            "public_key": public.hex(),
            "session": SESSION.hex(),
            "key": pads.pair_key(alice, public, SESSION).hex(),
        },
        "own_key": {"own_seed": bob.hex(), "session": SESSION.hex(), "key": pads.own_key(bob, SESSION).hex()},
        "box": {
            "seal_key": alice.hex(),
            "receiver_public_key": public.hex(),
            "receiver_seal_key": bob.hex(),
            "sender_public_key": ciphers.public_key(alice).hex(),
            "session": SESSION.hex(),
            "sender": address.sender,
            "receiver": address.receiver,
            "own_seed_share": shares.own_seed.hex(),
            "mask_key_share": shares.mask_key.hex(),
            "box": sealing.seal(alice, public, address, shares).hex(),
        },
    }


def disguises(public_key: bytes) -> Iterator[bytes]:
    """Other keys that every private key agrees on the same secret with."""
    number = int.from_bytes(public_key, "little")
    yield (number + 2**255).to_bytes(32, "little")  # X25519 ignores the top bit
    yield pow(number, -1, PRIME).to_bytes(32, "little")  # the point (0, 0) of order 2 added: v² = u (u² + 486662 u + 1)


def _agreement_keys(public: bytes) -> Iterator[tuple[bytes, bool]]:
    yield from ((ciphers.public_key(bytes([number]) * 32), True) for number in range(4))
    yield from ((key, False) for key in disguises(public))
    for key in SMALL_ORDER:
        number = int.from_bytes(bytes.fromhex(key), "little")
        written = [number, number + PRIME] if number + PRIME < 2**255 else [number]
        yield from ((one.to_bytes(32, "little"), False) for start in written for one in (start, start + 2**255))
    yield (2).to_bytes(32, "little"), False  # on the twist: no point of the curve has this coordinate


def _agreed(private_key: bytes, public_key: bytes) -> dict[str, str]:
    secret = ciphers.agree(private_key, public_key).hex()
    return {"private_key": private_key.hex(), "public_key": public_key.hex(), "secret": secret}


def _words(key: bytes, size: int) -> list[int]:
    words = np.zeros(size, np.uint32)
    pads.add(words, key)
    return words.tolist()
