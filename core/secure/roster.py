"""What a member asks of a roster before it sends anything, and of the messages after it.

Every fault raises IntegrityError: the turn ends, nothing more is sent, and the owner's log says why.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Annotated

from fedrela.core.errors import IntegrityError
from fedrela.core.protocol.limits import Between, Id, Name, PublicKey
from fedrela.core.secure import ciphers, fleet, statements
from fedrela.core.secure.messages import LARGEST_GROUP, SMALLEST_GROUP, MaskedProof, Roster, RosterMember, SecureKeys
from fedrela.core.secure.statements import Work


@dataclass(frozen=True)
class Terms:
    """What a device knows of its turn before it meets others: from the signed assignment, the task and its own link.

    `smallest_group`: the signed task's. `fleet`: the fingerprint of the fleet's key that the link named, if it did.
    """

    assignment_id: Id
    work: Work
    population: Name
    identity_key: PublicKey  # the device's own
    smallest_group: Annotated[int, Between(SMALLEST_GROUP, LARGEST_GROUP)] = SMALLEST_GROUP
    fleet: str | None = None


def refused(problem: str) -> IntegrityError:
    """The end of a turn."""
    return IntegrityError(problem, remedy="nothing more is sent in this session; ask the operator what happened")


def check(roster: Roster, terms: Terms, own_keys: SecureKeys) -> int:
    """The device's own index in a roster that it may work with. Raises IntegrityError."""
    count = len(roster.members)
    if count < terms.smallest_group:
        raise refused(f"the group has {count} members, fewer than the task's {terms.smallest_group}")
    if not statements.threshold(count) <= roster.threshold <= count:
        raise refused(f"{roster.threshold} of {count} members would be enough to open a secret")
    if [member.index for member in roster.members] != list(range(1, count + 1)):
        raise refused("the roster's members aren't numbered from 1 on")
    _check_distinct(roster.members)
    for member in roster.members:
        _check_member(member, terms)
    index = next((member.index for member in roster.members if member.identity_key == terms.identity_key), None)
    if index is None:
        raise refused("the roster leaves this device out")
    own = roster.member(index)
    if (own.keys, own.assignment_id) != (own_keys, terms.assignment_id):
        raise refused("the roster has other keys of this device than it sent")
    return index


def _check_distinct(members: Sequence[RosterMember]) -> None:
    """One key twice is one device twice, or one that somebody has copied."""
    for name, values in (
        ("identity key", [member.identity_key for member in members]),
        ("assignment", [member.assignment_id for member in members]),
        ("key", [key for member in members for key in (member.keys.mask_key, member.keys.seal_key)]),
    ):
        if len(set(values)) != len(values):
            raise refused(f"the roster has one {name} twice")


def _check_member(member: RosterMember, terms: Terms) -> None:
    """Its signature over the device's own work: whoever was given another model has signed something else."""
    signed = statements.keys(terms.work, member.assignment_id, member.keys.mask_key, member.keys.seal_key)
    try:
        statements.verify(member.identity_key, signed, member.keys.signature)
    except IntegrityError as error:
        raise refused(f"member {member.index} has not signed its keys for this device's task and weights") from error
    for key in (member.keys.mask_key, member.keys.seal_key):
        ciphers.check_agreement_key(bytes.fromhex(key))
    if terms.fleet is not None:
        fleet.check(member.certificate, member.identity_key, terms.population, terms.fleet)


def check_senders(senders: Collection[int], index: int, roster: Roster) -> None:
    """Raise IntegrityError unless enough members have shared, this one among them, and no stranger."""
    _check_known(senders, roster, "have shared")
    if index not in senders:
        raise refused("the inbox leaves this device out")


def check_survivors(proofs: Sequence[MaskedProof], index: int, senders: Collection[int], roster: Roster) -> None:
    """Raise IntegrityError unless enough senders survive, this device among them, all masked for the same senders."""
    survivors = [proof.index for proof in proofs]
    _check_known(survivors, roster, "survive")
    if not set(survivors) <= set(senders):
        raise refused("the survivors are not all among the senders")
    if index not in survivors:
        raise refused("the survivors leave this device out")
    for proof in proofs:
        check_proof(proof, statements.senders_sha256(senders), roster)


def check_proof(proof: MaskedProof, senders_sha256: str, roster: Roster) -> None:
    """Raise IntegrityError unless a member signed that it masked for exactly these senders."""
    if proof.senders_sha256 != senders_sha256:
        raise refused(f"member {proof.index} masked for other senders")
    signed = statements.masked(proof.session, proof.senders_sha256, proof.words_sha256)
    statements.verify(roster.member(proof.index).identity_key, signed, proof.signature)


def _check_known(indices: Collection[int], roster: Roster, what: str) -> None:
    if not set(indices) <= {member.index for member in roster.members}:
        raise refused("a message names a stranger")
    if len(indices) < roster.threshold:
        raise refused(f"only {len(indices)} members {what}, and {roster.threshold} are needed")
