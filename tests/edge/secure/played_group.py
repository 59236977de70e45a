"""A group in which one device is real: the others and the coordinator's side are played by the pure functions."""

import hashlib
import os
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fedrela.core import signing, strict
from fedrela.core.secure import fleet as fleets
from fedrela.core.secure import group as groups
from fedrela.core.secure import masked_body, unmasking
from fedrela.core.secure import member as members
from fedrela.core.secure.member import Member, Secrets
from fedrela.core.secure.messages import (
    Certificate,
    MaskedProof,
    RosterMember,
    SecureAgreement,
    SecureReveal,
    SecureShares,
    SecureStep,
)
from fedrela.core.secure.pads import Words
from fedrela.core.secure.roster import Terms
from fedrela.core.secure.statements import Work

ME = 2  # the real device; the others are all members but this one
PHASES = ("sharing", "masking", "agreeing", "revealing")
_DONE_BY = dict(zip(PHASES, ("shares", "proofs", "agreements", "reveals"), strict=True))


def identity(index: int) -> str:
    """The private key of a member that is played."""
    return hashlib.sha256(f"member {index}".encode()).hexdigest()


def certificate(fleet_key: str, public_key: str, population: str = "default") -> Certificate | None:
    """That a fleet's key vouches for a device, if there is one."""
    if not fleet_key:
        return None
    seed = signing.sha256(b"token of the others")
    endorsed = fleets.endorse(fleet_key, signing.public_key(seed), population)
    return fleets.certify(endorsed, seed, public_key, population)


class PlayedGroup:
    """One session of `count` members. `lost`: by member, from which phase on it is away."""

    def __init__(
        self, me: RosterMember, work: Work, count: int, size: int, lost: Mapping[int, str], fleet_key: str = ""
    ) -> None:
        self.me, self.size, self.lost = me, size, lost
        self.others: dict[int, Member] = {}
        self.words: dict[int, Words] = {}
        bound = 2**20
        self.vectors = np.random.default_rng(7).integers(-bound, bound, (count + 1, size)).astype(np.int32)
        made = [me]
        for index in (one for one in range(1, count + 1) if one != ME):
            public_key = signing.public_key(identity(index))
            terms = Terms(f"o-{index}-{me.assignment_id}", work, "default", public_key)
            self.others[index] = members.offer(terms, Secrets(*(os.urandom(32) for _ in range(4))), identity(index))
            vouched = certificate(fleet_key, public_key)
            made.append(RosterMember(index, terms.assignment_id, public_key, self.others[index].keys, vouched))
        self.group = groups.begin(tuple(sorted(made, key=lambda one: one.index)), work)

    def step(self) -> SecureStep:
        """What the device is told, once the others have done their part."""
        self._go_on()
        return groups.step(self.group, ME, 0.01)

    def take(self, kind: str, body: bytes) -> None:
        """A message of the device. Raises as the coordinator's side does."""
        if kind == "secure/shares":
            self.group = groups.accept_shares(self.group, ME, strict.from_json(SecureShares, body))
        elif kind == "update":
            self._masked(ME, body)
        elif kind == "secure/agreement":
            self.group = groups.accept_agreement(self.group, strict.from_json(SecureAgreement, body))
        else:
            self.group = groups.accept_reveal(self.group, ME, strict.from_json(SecureReveal, body))
        self._go_on()

    def own_vector(self) -> NDArray[np.int32]:
        """The device's vector: the sum of all, less what the others put into it."""
        total = unmasking.unmask(self.words.values(), self.group, unmasking.open_secrets(self.group))
        rest: NDArray[np.int32] = total - self.vectors[[one for one in self.group.survivors if one != ME]].sum(0)
        return rest

    def _masked(self, index: int, body: bytes) -> None:
        words, header = masked_body.from_bytes(body, self.size)
        session, senders, signature = header.session, header.senders_sha256, header.signature
        proof = MaskedProof(index, session, senders, masked_body.words_sha256(words), signature)
        self.group = groups.accept_masked(self.group, proof)
        self.words[index] = words

    def _go_on(self) -> None:
        """The others do their part of the phase; it ends when the device has done its own."""
        while self.group.phase in PHASES:
            phase = self.group.phase
            for index in self.others:
                away = index in self.lost and PHASES.index(self.lost[index]) <= PHASES.index(phase)
                if not away:
                    self._play(index, groups.step(self.group, index, 0.01))
            if ME not in getattr(self.group, _DONE_BY[phase]):
                return
            self.group = groups.advance(self.group, timed_out=True)

    def _play(self, index: int, step: SecureStep) -> None:
        other = self.others[index]
        if step.roster is not None:
            other, shares = members.share(other, step.roster)
            self.group = groups.accept_shares(self.group, index, shares)
        elif step.inbox is not None:
            other, body, _ = members.mask(other, step.inbox, self.vectors[index], identity(index))
            self._masked(index, bytes(body))
        elif step.survivors is not None:
            other, agreement = members.agree(other, step.survivors, identity(index))
            self.group = groups.accept_agreement(self.group, agreement)
        elif step.agreements is not None:
            other, reveal = members.reveal(other, step.agreements)
            self.group = groups.accept_reveal(self.group, index, reveal)
        self.others[index] = other
