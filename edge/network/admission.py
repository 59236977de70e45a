"""Which assignments a device takes: signed by the pinned key, for this device and this check-in, of no older round.

Waits and receipts are not signed: whoever can forge them can as well answer nothing. What a device runs, on which
weights and for whom, nobody but the coordinator decides, even where the network's encryption has failed.

    admission.admit(assignment, nonce)
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from fedrela.core import signing
from fedrela.core.errors import IntegrityError, Refused
from fedrela.core.protocol import key_chain, statements
from fedrela.core.wire import Assignment
from fedrela.edge.network.api import CoordinatorApi
from fedrela.edge.owner.settings import Event, EventKind
from fedrela.edge.storage import state, trust
from fedrela.edge.storage.state import Identity
from fedrela.edge.storage.store import Store


@dataclass
class Admission:
    """One device's. A new key of the coordinator and a new epoch are kept in `store`, and the owner is told."""

    api: CoordinatorApi
    store: Store
    identity: Identity
    now: Callable[[], float]
    on_event: Callable[[Event], None]

    def admit(self, assignment: Assignment, nonce: str) -> None:
        """Accept the answer to the check-in of that nonce; older rounds are refused from now on.

        Raises IntegrityError where it is forged, another's, or older than what was accepted before; Unavailable where
        the pinned key doesn't fit and the coordinator can't be asked for its keys.
        """
        text = statements.assignment(assignment, self.identity.device_id, self.identity.population, nonce)
        try:
            signing.verify(self.identity.coordinator_public_key, text, assignment.signature)
        except IntegrityError as fault:
            self._follow_key(assignment, text, fault)
        known = trust.load(self.store)
        accepted = trust.admitted(known, assignment, self.now())
        if accepted != known:
            trust.save(self.store, accepted)
        if accepted.epoch_since != known.epoch_since:
            self._tell("new-epoch", assignment, f"the coordinator began epoch {accepted.epoch}")

    def _follow_key(self, assignment: Assignment, text: bytes, fault: IntegrityError) -> None:
        """Pin the key that the pinned one names as its successor, if that has signed; raise `fault` otherwise."""
        public_key = newest_key(self.api, signing.fingerprint(self.identity.coordinator_public_key), fault)
        signing.verify(public_key, text, assignment.signature)
        self.identity = replace(self.identity, coordinator_public_key=public_key)
        state.save_identity(self.store, self.identity)
        trust.save(self.store, replace(trust.load(self.store), key_since=self.now()))
        self._tell("new-key", assignment, f"the coordinator's key is {signing.fingerprint(public_key)} now")

    def _tell(self, kind: EventKind, assignment: Assignment, detail: str) -> None:
        at = datetime.fromtimestamp(self.now()).isoformat(sep=" ", timespec="seconds")
        self.on_event(Event(kind, assignment.task_id, assignment.round, detail=f"{detail} ({at})"))


def newest_key(api: CoordinatorApi, pinned: str, fault: IntegrityError) -> str:
    """The key that the one of the fingerprint `pinned` leads to, as the coordinator shows it.

    Raises `fault`, which made the device ask, where the coordinator shows no way there.
    """
    try:
        return key_chain.newest(api.keys(), pinned)
    except (IntegrityError, Refused) as unknown:
        raise fault from unknown


def is_same(held: Assignment, offered: Assignment) -> bool:
    """Whether both are the same assignment, on the same programs and weights; leases may differ."""
    return held.assignment_id == offered.assignment_id and statements.work(held) == statements.work(offered)
