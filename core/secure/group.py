"""The coordinator's side of a session: a group's state, what it takes from a member, and when it goes on.

    sharing -> masking -> agreeing -> revealing -> summing          from any but the last: failed

What is sent twice counts once; another message of the same kind is refused, and so is one that comes too early or too
late. Time comes in as `timed_out`: whether the phase has lasted as long as it may.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

from fedrela.core.errors import InvalidMessage, Refused
from fedrela.core.secure import ciphers, statements
from fedrela.core.secure import roster as rosters
from fedrela.core.secure.messages import (
    Agreements,
    Inbox,
    MaskedProof,
    Roster,
    RosterMember,
    SealedShares,
    SecureAgreement,
    SecureReveal,
    SecureShares,
    SecureStep,
    Survivors,
)
from fedrela.core.secure.statements import Work

Phase = Literal["sharing", "masking", "agreeing", "revealing", "summing", "failed"]
Message = TypeVar("Message")

_NEXT: dict[Phase, Phase] = {
    "sharing": "masking",
    "masking": "agreeing",
    "agreeing": "revealing",
    "revealing": "summing",
}
_CONFLICT = 409


@dataclass(frozen=True)
class Group:
    """A group and what its members have sent so far, by their index."""

    roster: Roster
    session: str
    phase: Phase = "sharing"
    shares: Mapping[int, SecureShares] = field(default_factory=dict)
    proofs: Mapping[int, MaskedProof] = field(default_factory=dict)
    agreements: Mapping[int, SecureAgreement] = field(default_factory=dict)
    reveals: Mapping[int, SecureReveal] = field(default_factory=dict)
    failed_in: Phase | None = None

    @property
    def senders(self) -> tuple[int, ...]:
        """Who has sent shares, ascending: whose pads are in the masked bodies, once masking has begun."""
        return tuple(sorted(self.shares))

    @property
    def survivors(self) -> tuple[int, ...]:
        """Whose masked body is there, ascending: whose vectors are in the sum."""
        return tuple(sorted(self.proofs))

    @property
    def vanished(self) -> tuple[int, ...]:
        """Senders without a masked body: their pads are left in the others' bodies, and must be taken off."""
        return tuple(sender for sender in self.senders if sender not in self.proofs)


def begin(members: tuple[RosterMember, ...], work: Work) -> Group:
    """A group of members, numbered from 1, whose keys `accept_keys` has taken."""
    roster = Roster(statements.threshold(len(members)), members)
    return Group(roster, statements.session(roster, work).hex())


def accept_keys(member: RosterMember, work: Work) -> None:
    """Raise IntegrityError for keys that the other members would refuse, and so with them the whole group."""
    signed = statements.keys(work, member.assignment_id, member.keys.mask_key, member.keys.seal_key)
    statements.verify(member.identity_key, signed, member.keys.signature)
    for key in (member.keys.mask_key, member.keys.seal_key):
        ciphers.check_agreement_key(bytes.fromhex(key))


def accept_shares(group: Group, index: int, shares: SecureShares) -> Group:
    """Raises InvalidMessage unless there is a box for each other member, Refused out of turn."""
    if _is_repeated(group.shares, index, shares):
        return group
    _check_turn(group, index, shares.session, "sharing")
    others = [member.index for member in group.roster.members if member.index != index]
    if [box.index for box in shares.sealed] != others:
        raise InvalidMessage("shares are not for all other members", remedy="seal one box for each")
    return replace(group, shares={**group.shares, index: shares})


def accept_masked(group: Group, proof: MaskedProof) -> Group:
    """Raises IntegrityError unless the body was masked for this group's senders, Refused out of turn.

    The caller has compared `words_sha256` with the body.
    """
    if _is_repeated(group.proofs, proof.index, proof):
        return group
    _check_turn(group, proof.index, proof.session, "masking")
    if proof.index not in group.shares:
        raise _out_of_turn("a member that has not shared")
    rosters.check_proof(proof, statements.senders_sha256(group.senders), group.roster)
    return replace(group, proofs={**group.proofs, proof.index: proof})


def accept_agreement(group: Group, agreement: SecureAgreement) -> Group:
    """Raises IntegrityError unless a survivor signed exactly this group's survivors, Refused out of turn."""
    if _is_repeated(group.agreements, agreement.index, agreement):
        return group
    _check_turn(group, agreement.index, agreement.session, "agreeing", "revealing", "summing")
    _check_survivor(group, agreement.index)
    senders = statements.senders_sha256(group.senders)
    signed = statements.survivors(group.session, group.survivors, senders)
    statements.verify(group.roster.member(agreement.index).identity_key, signed, agreement.signature)
    return replace(group, agreements={**group.agreements, agreement.index: agreement})


def accept_reveal(group: Group, index: int, reveal: SecureReveal) -> Group:
    """Raises InvalidMessage where a share is of a secret that must stay closed, Refused out of turn.

    A member may leave shares out whose boxes it couldn't open. More reveals than the threshold are taken, too: they
    find a liar among the first.
    """
    if _is_repeated(group.reveals, index, reveal):
        return group
    _check_turn(group, index, reveal.session, "revealing", "summing")
    _check_survivor(group, index)
    own, pair = ({one.index for one in shares} for shares in (reveal.own, reveal.pair))
    if not (own <= set(group.survivors) and pair <= set(group.vanished)):
        raise InvalidMessage("shares are revealed that must stay closed", remedy="reveal what the survivors' list says")
    return replace(group, reveals={**group.reveals, index: reveal})


def advance(group: Group, *, timed_out: bool) -> Group:
    """The group one phase on, if all that it waits for is there, or time is up and the threshold is reached; failed, if
    time is up and it isn't; else as it is.

    Signatures and reveals are waited for until there are enough; the rest is for the time of a phase only.
    """
    come, awaited, threshold = _progress(group)
    if group.phase not in _NEXT or not (timed_out or come >= awaited):
        return group
    if come < threshold:
        return replace(group, phase="failed", failed_in=group.phase)
    return replace(group, phase=_NEXT[group.phase])


def step(group: Group, index: int, retry_after_seconds: float) -> SecureStep:
    """What member `index` is told to do next. `retry_after_seconds`: for one that has done its part of the phase."""
    if group.phase == "failed":
        again = group.failed_in == "sharing"  # nothing was masked, so nothing can be compared with a second try
        return SecureStep("again" if again else "closed", reason=f"too few members in {group.failed_in}")
    in_time = {"sharing": (index,), "masking": group.senders}.get(group.phase, group.survivors)
    if index not in in_time:
        return SecureStep("closed", reason="too late for this group")
    return _own_step(group, index) or SecureStep("wait", retry_after_seconds=retry_after_seconds)


def _own_step(group: Group, index: int) -> SecureStep | None:
    """What is left to do for a member that is in time; None: others are waited for."""
    if group.phase == "sharing":
        return None if index in group.shares else SecureStep("share", roster=group.roster)
    if group.phase == "masking":
        return None if index in group.proofs else SecureStep("mask", inbox=inbox(group, index))
    if index not in group.agreements:
        proofs = tuple(group.proofs[survivor] for survivor in group.survivors)
        return SecureStep("agree", survivors=Survivors(group.session, proofs))
    if group.phase == "agreeing":
        return None
    if index in group.reveals:
        return SecureStep("done", reason="summed")
    return SecureStep("reveal", agreements=signed(group))


def inbox(group: Group, index: int) -> Inbox:
    """The boxes for one member, from all other senders."""
    boxes = (
        SealedShares(sender, box.box)
        for sender in group.senders
        for box in group.shares[sender].sealed
        if box.index == index
    )
    return Inbox(group.session, tuple(boxes))


def signed(group: Group) -> Agreements:
    """All agreements so far."""
    return Agreements(group.session, tuple(group.agreements[index] for index in sorted(group.agreements)))


def _progress(group: Group) -> tuple[int, int, int]:
    """In this phase: how many have come, how many the group waits for, how many must have come when time is up."""
    threshold = group.roster.threshold
    come, awaited = {
        "sharing": (len(group.shares), len(group.roster.members)),
        "masking": (len(group.proofs), len(group.shares)),
        "agreeing": (len(group.agreements), threshold),
        "revealing": (len(group.reveals), threshold),
    }.get(group.phase, (0, 0))
    return come, awaited, threshold


def _is_repeated(known: Mapping[int, Message], index: int, message: Message) -> bool:
    if index in known and known[index] != message:
        raise Refused(
            "this member has sent another message of this kind",
            remedy="send the same bytes again, or nothing",
            code="conflict",
            status=_CONFLICT,
        )
    return index in known


def _check_turn(group: Group, index: int, session: str, *phases: Phase) -> None:
    if session != group.session or not 1 <= index <= len(group.roster.members):
        raise InvalidMessage("the message is of another session", remedy="ask for this session's step")
    if group.phase not in phases:
        raise _out_of_turn(f"the group is {group.phase}")


def _check_survivor(group: Group, index: int) -> None:
    if index not in group.proofs:
        raise _out_of_turn("a member whose masked body isn't there")


def _out_of_turn(why: str) -> Refused:
    return Refused(f"not now: {why}", remedy="ask for this session's step", code="out-of-turn", status=_CONFLICT)
