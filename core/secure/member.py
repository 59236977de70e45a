"""A device's side of a session: each step from the last one's state and a message to a new state and an answer.

    offer -> share(roster) -> mask(inbox, vector) -> agree(survivors) -> reveal(agreements)

An answer depends on nothing but the state and the message, so a device that stored its state before it sent, and was
killed, sends the same bytes again; the same message may come twice, another one of its kind is refused. Refusals are
IntegrityError: the session is over, and its secrets are to be deleted. No clock, no randomness but `Secrets`.
"""

from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fedrela.core import signing
from fedrela.core.errors import IntegrityError
from fedrela.core.secure import ciphers, masked_body, pads, sealing, shamir, statements
from fedrela.core.secure import roster as rosters
from fedrela.core.secure.masked_body import Header
from fedrela.core.secure.messages import (
    Agreements,
    Inbox,
    MaskedProof,
    RevealedShare,
    Roster,
    SealedShares,
    SecureAgreement,
    SecureKeys,
    SecureReveal,
    SecureShares,
    Survivors,
)
from fedrela.core.secure.roster import Terms, refused
from fedrela.core.secure.sealing import Address, Shares

Message = TypeVar("Message")


@dataclass(frozen=True)
class Secrets:
    """Four times 32 random bytes, new for each session and never derived from another secret.

    `mask_key` and `seal_key` are X25519 private keys, `own_seed` makes the pad of this member alone, `polynomials` the
    coefficients of what is shared.
    """

    mask_key: bytes
    seal_key: bytes
    own_seed: bytes
    polynomials: bytes


@dataclass(frozen=True)
class Member:
    """Where a device stands: what it was told, each message once."""

    terms: Terms
    secrets: Secrets
    keys: SecureKeys
    roster: Roster | None = None
    inbox: Inbox | None = None
    words_sha256: str = ""  # of the masked vector: two vectors behind the same pads would show their difference
    survivors: Survivors | None = None
    agreements: Agreements | None = None


def offer(terms: Terms, secrets: Secrets, identity_private_key: str) -> Member:
    """The state to begin with; its `keys` are what is sent first."""
    mask_key, seal_key = (ciphers.public_key(key).hex() for key in (secrets.mask_key, secrets.seal_key))
    signed = statements.keys(terms.work, terms.assignment_id, mask_key, seal_key)
    return Member(terms, secrets, SecureKeys(mask_key, seal_key, signing.sign(identity_private_key, signed)))


def share(member: Member, roster: Roster) -> tuple[Member, SecureShares]:
    """Check who the others are, and give each of them a share of this member's two secrets."""
    _once(member.roster, roster, "roster")
    index = rosters.check(roster, member.terms, member.keys)
    session = statements.session(roster, member.terms.work)
    dealt = _dealt(member.secrets, session, roster)
    boxes = tuple(
        SealedShares(
            other.index,
            sealing.seal(
                member.secrets.seal_key,
                bytes.fromhex(other.keys.seal_key),
                Address(session, index, other.index),
                dealt[other.index - 1],
            ).hex(),
        )
        for other in roster.members
        if other.index != index
    )
    shares = SecureShares(session.hex(), statements.commitment(session, member.secrets.own_seed), boxes)
    return replace(member, roster=roster), shares


def mask(
    member: Member, inbox: Inbox, vector: NDArray[np.int32], identity_private_key: str
) -> tuple[Member, bytearray, MaskedProof]:
    """Hide the vector (d,) behind this member's own pad and one for each other sender: the body, and its proof.

    It is hidden where it leaves, in the body: beside that, memory is O(1).
    """
    _once(member.inbox, inbox, "inbox")
    roster, index, session = _session(member)
    senders = _senders(inbox, index)
    _check_session(inbox.session, session)
    rosters.check_senders(senders, index, roster)
    body, words = masked_body.blank(vector.size)
    pads.mask(
        vector,
        out=words,
        own_seed=member.secrets.own_seed,
        mask_key=member.secrets.mask_key,
        index=index,
        others=roster.mask_keys([sender for sender in senders if sender != index]),
        session=session,
    )
    senders_sha256, words_sha256 = statements.senders_sha256(senders), masked_body.words_sha256(words)
    if words_sha256 != (member.words_sha256 or words_sha256):
        raise refused("a second vector was to be masked in one session")
    signed = statements.masked(session.hex(), senders_sha256, words_sha256)
    signature = signing.sign(identity_private_key, signed)
    proof = MaskedProof(index, session.hex(), senders_sha256, words_sha256, signature)
    masked_body.complete(body, vector.size, Header(session.hex(), senders_sha256, signature))
    return replace(member, inbox=inbox, words_sha256=words_sha256), body, proof


def agree(member: Member, survivors: Survivors, identity_private_key: str) -> tuple[Member, SecureAgreement]:
    """Sign which survivors this member was told of, so that no two members can be told of different ones."""
    if member.inbox is None:
        raise refused("survivors came before the inbox")
    _once(member.survivors, survivors, "list of survivors")
    roster, index, session = _session(member)
    senders = _senders(member.inbox, index)
    for name in (survivors.session, *(proof.session for proof in survivors.proofs)):
        _check_session(name, session)
    rosters.check_survivors(survivors.proofs, index, senders, roster)
    signed = statements.survivors(session.hex(), survivors.indices(), statements.senders_sha256(senders))
    signature = signing.sign(identity_private_key, signed)
    return replace(member, survivors=survivors), SecureAgreement(index, session.hex(), signature)


def reveal(member: Member, agreements: Agreements) -> tuple[Member, SecureReveal]:
    """If enough members signed this member's own list: its shares of survivors' own seeds and of the others' mask keys.

    A box that doesn't open is left out; the others hold shares enough.
    """
    if member.inbox is None or member.survivors is None:
        raise refused("agreements came before the survivors")
    if member.agreements is not None:
        agreements = member.agreements  # more signatures may come the second time; the answer is the same
    roster, index, session = _session(member)
    _check_session(agreements.session, session)
    senders, survivors = _senders(member.inbox, index), member.survivors.indices()
    signed = statements.survivors(session.hex(), survivors, statements.senders_sha256(senders))
    valid = (one for one in agreements.agreements if one.index in survivors and _is_signed(one, signed, roster))
    signers = list(islice(valid, roster.threshold))  # the rest would change nothing
    if len(signers) < roster.threshold:
        raise refused(f"only {len(signers)} members agree on the survivors, and {roster.threshold} are needed")
    held = _held(member, roster, index, session)
    own = tuple(RevealedShare(one, held[one].own_seed.hex()) for one in survivors if one in held)
    vanished = [one for one in senders if one not in survivors]
    pair = tuple(RevealedShare(one, held[one].mask_key.hex()) for one in vanished if one in held)
    return replace(member, agreements=agreements), SecureReveal(session.hex(), own, pair)


def _dealt(secrets: Secrets, session: bytes, roster: Roster) -> tuple[Shares, ...]:
    """Every member's shares, this one's among them."""
    count, threshold = len(roster.members), roster.threshold
    size = ciphers.KEY_BYTES * (threshold - 1)
    key = ciphers.derive_key(secrets.polynomials, b"coefficients" + session)
    coefficients = b"".join(ciphers.keystream(key, 2 * size))
    own_seeds = shamir.split(secrets.own_seed, threshold=threshold, members=count, coefficients=coefficients[:size])
    mask_keys = shamir.split(secrets.mask_key, threshold=threshold, members=count, coefficients=coefficients[size:])
    return tuple(Shares(own_seed, mask_key) for own_seed, mask_key in zip(own_seeds, mask_keys, strict=True))


def _held(member: Member, roster: Roster, index: int, session: bytes) -> dict[int, Shares]:
    """The shares that this member holds, by whose secrets they are."""
    assert member.inbox is not None
    held = {index: _dealt(member.secrets, session, roster)[index - 1]}
    for box in member.inbox.sealed:
        sender_key = bytes.fromhex(roster.member(box.index).keys.seal_key)
        address = Address(session, box.index, index)
        try:
            held[box.index] = sealing.unseal(member.secrets.seal_key, sender_key, address, bytes.fromhex(box.box))
        except IntegrityError:
            continue
    return held


def _senders(inbox: Inbox, index: int) -> tuple[int, ...]:
    """Who has shared, ascending. A box from oneself is no box: the coordinator says who else is there."""
    others = [box.index for box in inbox.sealed]
    if index in others:
        raise refused("the inbox has a box from this device to itself")
    return tuple(sorted((*others, index)))


def _session(member: Member) -> tuple[Roster, int, bytes]:
    """The roster, the own index in it and the session's name."""
    if member.roster is None:
        raise refused("a message came before the roster")
    roster = member.roster
    index = next(one.index for one in roster.members if one.identity_key == member.terms.identity_key)
    return roster, index, statements.session(roster, member.terms.work)


def _check_session(name: str, session: bytes) -> None:
    if name != session.hex():
        raise refused("a message is of another session")


def _once(known: Message | None, message: Message, what: str) -> None:
    if known is not None and known != message:
        raise refused(f"a second {what} came in one session")


def _is_signed(agreement: SecureAgreement, signed: bytes, roster: Roster) -> bool:
    try:
        statements.verify(roster.member(agreement.index).identity_key, signed, agreement.signature)
    except IntegrityError:
        return False
    return True
