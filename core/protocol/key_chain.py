"""A coordinator's key is followed by another: each signs its successor, and a device that pinned one goes along.

>>> former, present = signing.generate_key(), signing.generate_key()
>>> chain = KeyChain((rotate(former, signing.public_key(present)),))
>>> newest(chain, signing.fingerprint(signing.public_key(former))) == signing.public_key(present)
True
"""

from dataclasses import dataclass
from typing import Annotated

from fedrela.core import signing
from fedrela.core.errors import IntegrityError
from fedrela.core.protocol import statements
from fedrela.core.protocol.limits import Length, PublicKey
from fedrela.core.wire import PROTOCOL, ProtocolVersion

LONGEST = 100  # rotations; a coordinator with more leaves out the oldest


@dataclass(frozen=True)
class KeyRotation:
    """One key followed another: `signature` is the former key's over `statements.key_rotation`."""

    former_key: PublicKey
    public_key: PublicKey
    signature: Annotated[str, Length(0, 200)]


@dataclass(frozen=True)
class KeyChain:
    """Answer of `GET /v1/keys`: the oldest rotation first; each begins with the key that the last one ended with."""

    rotations: Annotated[tuple[KeyRotation, ...], Length(0, LONGEST)] = ()
    protocol: ProtocolVersion = PROTOCOL


def rotate(former_private_key: str, public_key: str) -> KeyRotation:
    """The statement that `public_key` is the next, signed by the key that goes."""
    former_key = signing.public_key(former_private_key)
    signature = signing.sign(former_private_key, statements.key_rotation(former_key, public_key))
    return KeyRotation(former_key, public_key, signature)


def newest(chain: KeyChain, pinned: str) -> str:
    """The key that a chain leads to from the one of the fingerprint `pinned` on.

    Raises IntegrityError where the chain doesn't pass there, is broken, or a signature in it is wrong.
    """
    starts = (at for at, one in enumerate(chain.rotations) if signing.fingerprint(one.former_key) == pinned)
    start = next(starts, None)
    if start is None:
        raise _broken()
    former_key = chain.rotations[start].former_key
    for rotation in chain.rotations[start:]:
        if rotation.former_key != former_key:
            raise _broken()
        signing.verify(former_key, statements.key_rotation(former_key, rotation.public_key), rotation.signature)
        former_key = rotation.public_key
    return former_key


def _broken() -> IntegrityError:
    return IntegrityError(
        "the coordinator's key is not the pinned one, and no statement of the pinned one names it",
        remedy="somebody may be on the way between you; ask the operator",
    )
