"""What members sign and hash, as bytes: lines of text, the first of which says what it is, each ended by a line feed.

>>> threshold(16), participants((2, 5))
(11, '0205')
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

from fedrela.core import signing
from fedrela.core.protocol.limits import SAFE_WHOLE, Between, Id, Millionths, Sha256
from fedrela.core.secure.messages import Roster, SecureKeys

# What one member has signed, all members of its group verify: in one process (an emulated fleet, a coordinator, one
# that goes on after a restart) the same signature of the same key over the same bytes once. A refusal isn't remembered.
verify = lru_cache(maxsize=4096)(signing.verify)


@dataclass(frozen=True)
class Work:
    """What a member has trained: all members of a group the same, but for their assignments' names.

    `clip_millionths`: to which norm its parameters were clipped; 0: to the task's own.
    """

    task_sha256: Sha256
    manifest_sha256: Sha256
    checkpoint_sha256: Sha256
    round: Annotated[int, Between(1, SAFE_WHOLE)]
    clip_millionths: Millionths = 0


def threshold(members: int) -> int:
    """How many shares give a secret back: two thirds of the group and one more, so that no two lists can both pass.

    Two sets of so many members share more than a third of the group, who sign one list only.
    """
    return 2 * members // 3 + 1


def keys(work: Work, assignment_id: Id, mask_key: str, seal_key: str) -> bytes:
    """Signed by a member's identity key: these keys are mine, for this work."""
    return _lines(
        "fedrela/v1/secure-keys",
        assignment_id,
        work.task_sha256,
        work.manifest_sha256,
        work.checkpoint_sha256,
        str(work.round),
        *([str(work.clip_millionths)] if work.clip_millionths else []),
        mask_key,
        seal_key,
    )


def session(roster: Roster, work: Work) -> bytes:
    """The session's name, 32 bytes: a hash of all that the members must agree on before they send anything secret."""
    digest = hashlib.sha256(_lines("fedrela/v1/secure-session", str(roster.threshold)))
    for member in roster.members:
        signed: SecureKeys = member.keys
        digest.update(_lines(str(member.index), member.identity_key))
        digest.update(keys(work, member.assignment_id, signed.mask_key, signed.seal_key))
    return digest.digest()


def commitment(session_name: bytes, own_seed: bytes) -> str:
    """What tells a rebuilt own seed from a wrong one."""
    return hashlib.sha256(b"fedrela/v1/secure-own\n" + session_name + own_seed).hexdigest()


def participants(indices: Iterable[int]) -> str:
    """Members as text: one byte each, ascending, in hexadecimal."""
    return bytes(sorted(indices)).hex()


def senders_sha256(senders: Iterable[int]) -> str:
    """The hash of who has sent shares, and so of whose pads are in a masked body."""
    return hashlib.sha256(bytes.fromhex(participants(senders))).hexdigest()


def masked(session_name: str, senders: str, words_sha256: str) -> bytes:
    """Signed by a member: I masked these words for the senders of that hash."""
    return _lines("fedrela/v1/secure-masked", session_name, senders, words_sha256)


def survivors(session_name: str, indices: Iterable[int], senders: str) -> bytes:
    """Signed by a member: I was told that these survived of those senders, and nothing else."""
    return _lines("fedrela/v1/secure-survivors", session_name, participants(indices), senders)


def fleet_token(population: str, token_key: str) -> bytes:
    """Signed by a fleet's key: devices that this token's key names belong to the fleet."""
    return _lines("fedrela/v1/fleet-token", population, token_key)


def fleet_device(population: str, identity_key: str) -> bytes:
    """Signed by a token's key: this device belongs to the fleet."""
    return _lines("fedrela/v1/fleet-device", population, identity_key)


def _lines(*parts: str) -> bytes:
    return "\n".join((*parts, "")).encode()
