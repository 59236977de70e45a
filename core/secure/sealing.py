"""What one member gives another through the coordinator: a share of its own seed and one of its mask key, sealed.

The key is made for one session and one direction, so it seals one box only.

    >>> a, b, session = b"a" * 32, b"b" * 32, bytes(32)
    >>> box = seal(a, ciphers.public_key(b), Address(session, 1, 2), Shares(b"s" * 32, b"m" * 32))
    >>> unseal(b, ciphers.public_key(a), Address(session, 1, 2), box).own_seed == b"s" * 32
    True
"""

from dataclasses import dataclass

from fedrela.core.secure import ciphers

SEALED_BYTES = 2 * ciphers.KEY_BYTES + ciphers.TAG_BYTES


@dataclass(frozen=True)
class Address:
    """In which session a box goes from whom to whom; members are numbered from 1."""

    session: bytes
    sender: int
    receiver: int


@dataclass(frozen=True)
class Shares:
    """One member's shares of another member's two secrets, 32 bytes each."""

    own_seed: bytes
    mask_key: bytes


def seal(seal_key: bytes, receiver_public_key: bytes, address: Address, shares: Shares) -> bytes:
    """`SEALED_BYTES` that only the receiver opens. `seal_key`: the sender's private key."""
    return ciphers.seal(_key(seal_key, receiver_public_key, address), shares.own_seed + shares.mask_key)


def unseal(seal_key: bytes, sender_public_key: bytes, address: Address, box: bytes) -> Shares:
    """The shares in a box. `seal_key`: the receiver's private key. Raises IntegrityError where it is not for him."""
    opened = ciphers.unseal(_key(seal_key, sender_public_key, address), box)
    return Shares(opened[: ciphers.KEY_BYTES], opened[ciphers.KEY_BYTES :])


def _key(private_key: bytes, public_key: bytes, address: Address) -> bytes:
    info = b"seal" + address.session + bytes((address.sender, address.receiver))
    return ciphers.derive_key(ciphers.agree(private_key, public_key), info)
