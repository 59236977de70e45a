"""A whole session between members and a coordinator in one process, with keys that are the same each time.

Who is lost, and where, is given by a phase's name for each member: it does nothing from that phase on.

    >>> vectors = vectors_of(5)
    >>> session = until(begin(5), "summing", vectors, {2: "masking"})
    >>> session.total().tolist() == vectors[[0, 2, 3, 4]].sum(0).tolist()
    True
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrela.core import signing
from fedrela.core.secure import group as groups
from fedrela.core.secure import masked_body, unmasking
from fedrela.core.secure import member as members
from fedrela.core.secure.ciphers import KEY_BYTES
from fedrela.core.secure.group import Group
from fedrela.core.secure.member import Member, Secrets
from fedrela.core.secure.messages import RevealedShare, RosterMember, SecureReveal, SecureStep
from fedrela.core.secure.pads import Words
from fedrela.core.secure.roster import Terms
from fedrela.core.secure.statements import Work

WORK = Work("aa" * 32, "bb" * 32, "cc" * 32, 3)
PHASES = ("sharing", "masking", "agreeing", "revealing")
Vector = NDArray[np.int32]


def secret(*labels: object) -> bytes:
    """32 bytes that the labels name."""
    return hashlib.sha256(repr(labels).encode()).digest()


def identity(index: int) -> str:
    """A member's identity key, private."""
    return secret("identity", index).hex()


def terms_of(index: int) -> Terms:
    """What a member knows before it meets the others."""
    return Terms(f"a-{index}", WORK, "default", signing.public_key(identity(index)))


def secrets_of(index: int) -> Secrets:
    """A member's secrets of the session."""
    return Secrets(*(secret(name, index) for name in ("mask", "seal", "own", "polynomials")))


def offered(index: int, **changed: Any) -> Member:
    """A member that has made its keys. `changed`: other terms."""
    return members.offer(replace(terms_of(index), **changed), secrets_of(index), identity(index))


def in_roster(member: Member, index: int) -> RosterMember:
    """What the coordinator tells the others of a member."""
    return RosterMember(index, member.terms.assignment_id, member.terms.identity_key, member.keys)


@dataclass
class Session:
    """Both sides, and all masked words that came."""

    members: dict[int, Member]
    group: Group
    words: dict[int, Words] = field(default_factory=dict)

    def step(self, index: int) -> SecureStep:
        """What the coordinator tells a member."""
        return groups.step(self.group, index, 1.0)

    def close(self, *, timed_out: bool = True) -> None:
        """Go on to the next phase."""
        self.group = groups.advance(self.group, timed_out=timed_out)

    def share(self, index: int) -> None:
        """A member takes the roster and shares."""
        roster = self.step(index).roster
        assert roster is not None
        self.members[index], shares = members.share(self.members[index], roster)
        self.group = groups.accept_shares(self.group, index, shares)

    def mask(self, index: int, vector: Vector) -> None:
        """A member takes its inbox and uploads."""
        inbox = self.step(index).inbox
        assert inbox is not None
        self.members[index], body, proof = members.mask(self.members[index], inbox, vector, identity(index))
        self.words[index], _ = masked_body.from_bytes(bytes(body), len(vector))
        self.group = groups.accept_masked(self.group, proof)

    def agree(self, index: int) -> None:
        """A member takes the survivors and signs them."""
        survivors = self.step(index).survivors
        assert survivors is not None
        self.members[index], agreement = members.agree(self.members[index], survivors, identity(index))
        self.group = groups.accept_agreement(self.group, agreement)

    def reveal(self, index: int, lie: Callable[[SecureReveal], SecureReveal] = lambda reveal: reveal) -> None:
        """A member takes the agreements and reveals, or lies."""
        agreements = self.step(index).agreements
        assert agreements is not None
        self.members[index], reveal = members.reveal(self.members[index], agreements)
        self.group = groups.accept_reveal(self.group, index, lie(reveal))

    def total(self) -> Vector:
        """The sum of the survivors' vectors."""
        return unmasking.unmask(self.words.values(), self.group, unmasking.open_secrets(self.group))


def begin(count: int) -> Session:
    """Members that have offered their keys, in a group."""
    made = {index: offered(index) for index in range(1, count + 1)}
    return Session(made, groups.begin(tuple(in_roster(one, index) for index, one in made.items()), WORK))


def until(session: Session, phase: str, vectors: NDArray[np.int32], lost: Mapping[int, str]) -> Session:
    """Play until the group is in `phase`, or has failed. `lost`: by member, from which phase on it is away."""
    while session.group.phase not in (phase, "failed", "summing"):
        now = session.group.phase
        for index in session.members:
            away = index in lost and PHASES.index(lost[index]) <= PHASES.index(now)
            if not away and session.step(index).step not in ("wait", "closed"):
                _play(session, now, index, vectors[index - 1])
        session.close()
    return session


def _play(session: Session, phase: str, index: int, vector: Vector) -> None:
    if phase == "sharing":
        session.share(index)
    elif phase == "masking":
        session.mask(index, vector)
    elif phase == "agreeing":
        session.agree(index)
    else:
        session.reveal(index)


def vectors_of(count: int, size: int = 5) -> NDArray[np.int32]:
    """One vector a member, (count, size), whose sums stay below 2^30."""
    bound = 2**30 // count
    return np.random.default_rng(count).integers(-bound, bound, (count, size)).astype(np.int32)


def wrong(reveal: SecureReveal, byte: int = 0) -> SecureReveal:
    """The same reveal, every share of it changed in one bit of a byte. Two lies about one byte may cancel."""
    return replace(reveal, own=_flipped(reveal.own, byte), pair=_flipped(reveal.pair, byte))


def _flipped(shares: tuple[RevealedShare, ...], byte: int) -> tuple[RevealedShare, ...]:
    flip = 1 << 8 * (KEY_BYTES - 1 - byte)
    return tuple(replace(one, share=f"{int(one.share, 16) ^ flip:0{2 * KEY_BYTES}x}") for one in shares)
