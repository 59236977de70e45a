"""A device's turn in a group: keys, shares, the masked update, its word on who is left, the shares that it reveals.

Each message is stored before it is sent (`kept_session`), so a device that is killed goes on with the same bytes. What
the coordinator says is checked by `fedrela.core.secure.member`: a lie raises IntegrityError, and nothing more is sent.

    ended = SecureTurn(...).run()       # None where `stop` came first; the turn goes on at the next start
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from threading import Event as StopEvent
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrela.core import signing
from fedrela.core.errors import Refused
from fedrela.core.secure import ciphers
from fedrela.core.secure import member as members
from fedrela.core.secure.member import Member, Secrets
from fedrela.core.secure.messages import Agreements, Inbox, Roster, SecureStep, Survivors
from fedrela.core.secure.roster import Terms, refused
from fedrela.core.secure.statements import Work
from fedrela.core.task import Task
from fedrela.core.wire import Assignment
from fedrela.edge.network.api import CoordinatorApi
from fedrela.edge.secure import kept_session, masked_rounds
from fedrela.edge.storage import state
from fedrela.edge.storage.store import Store
from fedrela.edge.training.work import AssignmentFailed

PAUSE_SECONDS = 1.0  # before new keys, and where the coordinator repeats itself
LONGEST_PAUSE_SECONDS = 60.0  # between two questions, whatever the coordinator says
OUT_OF_TURN = "out-of-turn"  # the group has gone on meanwhile; its next step says how


@dataclass
class SecureTurn:
    """One device's part in the groups of one assignment. `vector` (d,): what is hidden."""

    api: CoordinatorApi
    store: Store
    held: state.HeldAssignment
    task: Task
    identity: state.Identity
    vector: NDArray[np.int32]
    now: Callable[[], float]
    sleep: Callable[[float], Any]
    stop: StopEvent
    tell: Callable[[str], None]  # the owner, in words
    draw: Callable[[int], bytes] = os.urandom
    _last: SecureStep | None = field(default=None)  # that was answered

    def run(self) -> SecureStep | None:
        """The step that ends the turn, "done" or "closed". Raises IntegrityError where the coordinator lies."""
        self.held = waiting(self.held, self.task, self.now())
        state.save_assignment(self.store, self.held)
        member = self._begin()
        while not self.stop.is_set():
            if self.now() > self.held.upload_until():
                raise AssignmentFailed("timed-out", "no group came about in time")
            step = self.api.secure_step(self.held.assignment)
            if step.step in ("done", "closed"):
                return step
            if step.step == "again":
                if member.words_sha256:
                    raise refused("this device has masked its update, and is asked for another session")
                self.tell(f"the group broke up ({step.reason}); nothing was masked, so with new keys into another")
                kept_session.forget(self.store)
                self.sleep(PAUSE_SECONDS)
                member = self._begin()
            elif step.step == "wait" or step == self._last:
                self.sleep(min(step.retry_after_seconds or PAUSE_SECONDS, LONGEST_PAUSE_SECONDS))
                self._last = None
            else:
                member = self._answer(member, step)
                self._last = step
        return None

    @property
    def _key(self) -> str:
        """What this device signs with."""
        return self.identity.private_key

    def _begin(self) -> Member:
        """A session with new keys; or the one that was under way, its keys sent again unless they have arrived."""
        member = kept_session.load(self.store)
        if member is None:
            secrets = Secrets(*(self.draw(ciphers.KEY_BYTES) for _ in range(4)))
            member = members.offer(terms(self.held.assignment, self.task, self.identity), secrets, self._key)
            kept_session.save(self.store, member)
        if member.roster is None:
            self.api.secure(self.held.assignment, "keys", member.keys)
        return member

    def _answer(self, member: Member, step: SecureStep) -> Member:
        """Check what the coordinator says, store what follows from it, then send."""
        try:
            if step.roster is not None:
                return self._share(member, step.roster)
            if step.inbox is not None:
                return self._mask(member, step.inbox)
            if step.survivors is not None:
                return self._agree(member, step.survivors)
            assert step.agreements is not None  # SecureStep: "reveal" has them
            return self._reveal(member, step.agreements)
        except Refused as refusal:
            if refusal.code != OUT_OF_TURN:
                raise
            kept = kept_session.load(self.store)
            return member if kept is None else kept

    def _share(self, member: Member, roster: Roster) -> Member:
        member, shares = members.share(member, roster)
        kept_session.save(self.store, member)
        self.tell(f"in a group of {len(roster.members)} devices, {roster.threshold} of which can open its sum")
        self.api.secure(self.held.assignment, "shares", shares)
        return member

    def _mask(self, member: Member, inbox: Inbox) -> Member:
        masked, body, _ = members.mask(member, inbox, self.vector, self._key)
        if not member.words_sha256:
            masked_rounds.check(self.store, self.held.assignment)
        # In this order: one that is killed between the two has been checked, and goes on with the same words.
        kept_session.save(self.store, masked)
        masked_rounds.note(self.store, self.held.assignment)
        self.tell(f"sends its update hidden among {len(inbox.sealed) + 1}: nobody can read it, only the sum of all")
        self.api.update(self.held.assignment, body)
        return masked

    def _agree(self, member: Member, survivors: Survivors) -> Member:
        member, agreement = members.agree(member, survivors, self._key)
        kept_session.save(self.store, member)
        self.api.secure(self.held.assignment, "agreement", agreement)
        return member

    def _reveal(self, member: Member, agreements: Agreements) -> Member:
        member, reveal = members.reveal(member, agreements)
        kept_session.save(self.store, member)
        self.tell(f"opens the sum of {len(reveal.own)} updates")
        self.api.secure(self.held.assignment, "reveal", reveal)
        return member


def terms(assignment: Assignment, task: Task, identity: state.Identity) -> Terms:
    """What this device knows before it meets others: all of it signed, or its own."""
    work = Work(
        assignment.task_sha256,
        assignment.manifest_sha256,
        assignment.checkpoint_sha256,
        assignment.round,
        assignment.clip_millionths,
    )
    return Terms(
        assignment.assignment_id,
        work,
        identity.population,
        signing.public_key(identity.private_key),
        task.privacy.group_minimum,
        identity.fleet or None,
    )


def waiting(held: state.HeldAssignment, task: Task, now: float) -> state.HeldAssignment:
    """The same assignment, kept while its group comes about: waiting counts against no lease.

    A group below its minimum waits to the round's deadline; each of its phases has a time of its own.
    """
    if held.group_until:
        return held
    phases = 3 * task.privacy.phase_seconds + task.round.upload_lease_seconds
    seconds = task.round.deadline_seconds + task.privacy.gather_seconds + phases
    return replace(held, group_until=now + min(seconds, state.LONGEST_LEASE_SECONDS))
