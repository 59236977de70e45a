"""What members of a group and the coordinator say to each other, as frozen values. Bytes are lower-case hexadecimal.

    keys ->   <- roster      who the members are, and the keys of this session
    shares -> <- inbox       sealed shares for every other member, and those from them
    masked body ->   <- survivors       whose bodies came
    agreement ->     <- agreements      that all were told of the same survivors
    reveal ->                shares of a survivor's own seed or of a vanished member's mask key, never of both

    PUT /v1/assignments/{id}/secure/keys       SecureKeys       -> 204
    GET /v1/assignments/{id}/secure            -> SecureStep
    PUT /v1/assignments/{id}/secure/shares     SecureShares     -> 204
    PUT /v1/assignments/{id}/update            masked body      -> UpdateReceipt
    PUT /v1/assignments/{id}/secure/agreement  SecureAgreement  -> 204
    PUT /v1/assignments/{id}/secure/reveal     SecureReveal     -> 204

Each PUT may be repeated. Lists are by index, ascending, each index once.

    >>> SecureReveal("00" * 32, own=(RevealedShare(2, "11" * 32), RevealedShare(1, "22" * 32)))
    Traceback (most recent call last):
    ...
    fedrela.core.errors.InvalidMessage: own isn't in ascending order of members, ...; list each once, the lowest first
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol

from fedrela.core import strict
from fedrela.core.errors import InvalidMessage
from fedrela.core.protocol.limits import Between, Id, Length, PublicKey, Sha256, Signature, Text
from fedrela.core.secure import sealing

SMALLEST_GROUP, LARGEST_GROUP = 5, 64

Index = Annotated[int, Between(1, LARGEST_GROUP)]
AgreementKey = Annotated[str, Text("[0-9a-f]{64}", "an X25519 key of 64 lower-case hexadecimal digits")]
Share = Annotated[str, Text("[0-9a-f]{64}", "a share of 64 lower-case hexadecimal digits")]
Box = Annotated[str, Text(f"[0-9a-f]{{{2 * sealing.SEALED_BYTES}}}", "two sealed shares in lower-case hexadecimal")]
Step = Literal["wait", "share", "mask", "agree", "reveal", "done", "again", "closed"]


class Indexed(Protocol):
    """Something that belongs to one member."""

    @property
    def index(self) -> int:
        """The member's number in the roster."""
        ...


@dataclass(frozen=True)
class Certificate:
    """That a device belongs to a fleet: its key signed a token's key, and that one the device's identity key."""

    fleet_key: PublicKey
    token_key: PublicKey
    fleet_signature: Signature
    token_signature: Signature


@dataclass(frozen=True)
class SecureKeys:
    """A device's new keys for one session, signed by its identity key: see `statements.keys`."""

    mask_key: AgreementKey
    seal_key: AgreementKey
    signature: Signature


@dataclass(frozen=True)
class RosterMember:
    """One member: its keys of this session, and who says so."""

    index: Index
    assignment_id: Id
    identity_key: PublicKey
    keys: SecureKeys
    certificate: Certificate | None = None


@dataclass(frozen=True)
class Roster:
    """All members of a group, from 1 on without a gap, and how many shares give a secret back."""

    threshold: Index
    members: Annotated[tuple[RosterMember, ...], Length(1, LARGEST_GROUP)]

    def __post_init__(self) -> None:
        strict.check(self, InvalidMessage)
        _require_ascending("members", self.members)

    def member(self, index: int) -> RosterMember:
        """The member of that number."""
        return self.members[index - 1]

    def mask_keys(self, indices: Sequence[int]) -> dict[int, bytes]:
        """Public mask keys by index."""
        return {index: bytes.fromhex(self.member(index).keys.mask_key) for index in indices}


@dataclass(frozen=True)
class SealedShares:
    """A box for, or from, member `index`."""

    index: Index
    box: Box


@dataclass(frozen=True)
class SecureShares:
    """One box for each other member, and what tells the member's own seed when it is rebuilt."""

    session: Sha256
    commitment: Sha256
    sealed: Annotated[tuple[SealedShares, ...], Length(0, LARGEST_GROUP)]

    def __post_init__(self) -> None:
        strict.check(self, InvalidMessage)
        _require_ascending("sealed", self.sealed)


@dataclass(frozen=True)
class Inbox:
    """The boxes for one member, each from another that has shared: these, and itself, are the senders."""

    session: Sha256
    sealed: Annotated[tuple[SealedShares, ...], Length(0, LARGEST_GROUP)]

    def __post_init__(self) -> None:
        strict.check(self, InvalidMessage)
        _require_ascending("sealed", self.sealed)


@dataclass(frozen=True)
class MaskedProof:
    """That a member masked `words_sha256` for `senders_sha256`, signed by its identity key: see `statements.masked`."""

    index: Index
    session: Sha256
    senders_sha256: Sha256
    words_sha256: Sha256
    signature: Signature


@dataclass(frozen=True)
class Survivors:
    """Whose masked bodies the coordinator holds."""

    session: Sha256
    proofs: Annotated[tuple[MaskedProof, ...], Length(0, LARGEST_GROUP)]

    def __post_init__(self) -> None:
        strict.check(self, InvalidMessage)
        _require_ascending("proofs", self.proofs)

    def indices(self) -> tuple[int, ...]:
        """Of the survivors, ascending."""
        return tuple(proof.index for proof in self.proofs)


@dataclass(frozen=True)
class SecureAgreement:
    """One member's word on the survivors, signed by its identity key: see `statements.survivors`."""

    index: Index
    session: Sha256
    signature: Signature


@dataclass(frozen=True)
class Agreements:
    """What members have signed about the survivors."""

    session: Sha256
    agreements: Annotated[tuple[SecureAgreement, ...], Length(0, LARGEST_GROUP)]

    def __post_init__(self) -> None:
        strict.check(self, InvalidMessage)
        _require_ascending("agreements", self.agreements)


@dataclass(frozen=True)
class RevealedShare:
    """A share of a secret of member `index`."""

    index: Index
    share: Share


@dataclass(frozen=True)
class SecureReveal:
    """Shares of survivors' own seeds, and of the mask keys of members that vanished. No member is in both."""

    session: Sha256
    own: Annotated[tuple[RevealedShare, ...], Length(0, LARGEST_GROUP)]
    pair: Annotated[tuple[RevealedShare, ...], Length(0, LARGEST_GROUP)] = ()

    def __post_init__(self) -> None:
        strict.check(self, InvalidMessage)
        _require_ascending("own", self.own)
        _require_ascending("pair", self.pair)
        if {one.index for one in self.own} & {one.index for one in self.pair}:
            raise InvalidMessage("a member's two secrets are revealed", remedy="reveal one of them")


@dataclass(frozen=True)
class SecureStep:
    """What a member is to do next, and what it needs for that: exactly one field beside `step` is set.

    `done`, `again` and `closed` end a session; `reason` says why.
    """

    step: Step
    retry_after_seconds: Annotated[float, Between(0, 1e9)] | None = None
    roster: Roster | None = None
    inbox: Inbox | None = None
    survivors: Survivors | None = None
    agreements: Agreements | None = None
    reason: Annotated[str, Length(1, 100)] | None = None

    def __post_init__(self) -> None:
        strict.check(self, InvalidMessage)
        contents = {
            "wait": self.retry_after_seconds,
            "share": self.roster,
            "mask": self.inbox,
            "agree": self.survivors,
            "reveal": self.agreements,
        }
        other = [step for step, content in {**contents, "": self.reason}.items() if content is not None]
        if other != [self.step if self.step in contents else ""]:
            raise InvalidMessage(f"a step {self.step!r} has not what it needs, alone", remedy="send one of the fields")


def _require_ascending(name: str, items: Sequence[Indexed]) -> None:
    indices = [item.index for item in items]
    if indices != sorted(set(indices)):
        raise InvalidMessage(
            f"{name} isn't in ascending order of members, or names one twice", remedy="list each once, the lowest first"
        )
