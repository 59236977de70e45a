"""Which rounds this device has masked for: `fedrela.core.secure.ledger`, kept for as long as the device is enrolled."""

from fedrela.core import strict
from fedrela.core.errors import InvalidInput
from fedrela.core.secure import ledger
from fedrela.core.secure.ledger import Ledger
from fedrela.core.wire import Assignment
from fedrela.edge.storage.store import Store

KEY = "masked-rounds.json"


def load(store: Store) -> Ledger:
    """What was kept. Raises InvalidInput for a damaged file: it protects the owner, so it isn't begun anew unasked."""
    body = store.get(KEY)
    return strict.from_json(Ledger, body, InvalidInput) if body is not None else Ledger()


def check(store: Store, assignment: Assignment) -> None:
    """Raise IntegrityError where this device has masked for the round, or too often from its weights."""
    _entered(load(store), assignment)


def note(store: Store, assignment: Assignment) -> None:
    """Keep that the device masks for the round, before it sends. Noting it again, in that round, changes nothing."""
    known = load(store)
    if known.rounds.get(assignment.task_id, 0) < assignment.round:
        store.put(KEY, strict.to_json(_entered(known, assignment)))


def _entered(known: Ledger, assignment: Assignment) -> Ledger:
    return ledger.enter(known, assignment.task_id, assignment.round, assignment.checkpoint_sha256)
