"""What a device remembers, as values over a `Store`: who it is, its assignment, its overlays, its blobs, its log.

identity.json              address, device id and token, pinned key, own key, own secret
kept.json                  the tasks that are kept, the least recently used first: see `fedrela.edge.storage.kept`
blobs/<sha256>             tasks, manifests, programs: verified again whenever they are read
checkpoint/<sha256>        the global weights of the present assignment
partial/<sha256>           an unfinished download
overlays/<task>            labels that a re-labeling laid over the data
residuals/<task>           what a top-k encoding has dropped so far
assignment/assignment.json the assignment under way; snapshot: training state; update: the finished body, or the vector
                           that a group hides; secure: this device's session in that group, its secrets among it
masked-rounds.json         which rounds this device has masked for
self-tests/<...>           golden steps that passed, by program and runtime version
log/sent.jsonl             what was sent, and when; last/: the newest body of each kind
status.json                for `fedrela device status`
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from fedrela.core import signing, strict, tensors
from fedrela.core.errors import InvalidInput, InvalidTensors
from fedrela.core.tensors import Array, Params, TensorSpec
from fedrela.core.wire import Assignment
from fedrela.edge.storage.store import Store
from fedrela.edge.training.examples import Overlay

PREFIX, FORMER_PREFIX = "assignment/", "turn/"
PARTS = ("secure", "assignment.json", "snapshot", "update", "residual", "evaluated")
ASSIGNMENT_KEYS = tuple(PREFIX + part for part in PARTS)
LONGEST_LEASE_SECONDS = 7 * 86_400.0  # a task may promise more: no device is held for longer without asking again


@dataclass(frozen=True)
class Identity:
    """What enrollment gave this device. `secret` (32 bytes, hexadecimal) drives its random draws and stays here."""

    url: str
    device_id: str
    device_token: str
    coordinator_public_key: str
    population: str
    private_key: str
    secret: str
    publishers: tuple[str, ...] = ()  # fingerprints of keys that may sign programs; version 0.1 pinned none
    fleet: str = ""  # the fingerprint of the fleet's key, if the link had one: members of groups must be of it


@dataclass(frozen=True)
class HeldAssignment:
    """The assignment under way: what was assigned, when (by the device's clock), and on which data it started."""

    assignment: Assignment
    received_at: float
    fingerprint: str = ""
    group_until: float = 0.0  # once it is trained: a group may be waited for until then, whatever the leases say

    def train_until(self) -> float:
        """When the upload must have begun."""
        return self.received_at + min(self.assignment.compute_lease_seconds, LONGEST_LEASE_SECONDS)

    def upload_until(self) -> float:
        """When the upload must have ended."""
        lease = self.train_until() + min(self.assignment.upload_lease_seconds, LONGEST_LEASE_SECONDS)
        return max(lease, self.group_until)


@dataclass(frozen=True)
class Snapshot:
    """Training state after `steps` steps and `seconds` of work."""

    steps: int
    seconds: float
    tensors: Mapping[str, Array]


def task_key(task_id: str) -> str:
    """A file name for a task: its id comes from the coordinator and may hold anything."""
    return hashlib.sha256(task_id.encode()).hexdigest()[:32]


def rename_former_keys(store: Store) -> None:
    """Go on with what version 0.1 kept: it called an assignment a turn. Safe to repeat, and to be killed in."""
    former = {part: body for part in PARTS if (body := store.get(FORMER_PREFIX + part)) is not None}
    for part, body in former.items():
        store.put(PREFIX + part, body)
    for part in former:
        store.delete(FORMER_PREFIX + part)


def assignment_part(store: Store, name: str) -> bytes | None:
    """A part of the assignment under way, also where no client has gone on with it since version 0.1."""
    body = store.get(PREFIX + name)
    return store.get(FORMER_PREFIX + name) if body is None else body


def load_identity(store: Store) -> Identity | None:
    """Who this device is; None before it has enrolled. Raises InvalidInput for a damaged file."""
    body = store.get("identity.json")
    return strict.from_json(Identity, body, InvalidInput) if body is not None else None


def load_enrolled(store: Store) -> Identity:
    """Who this device is. Raises InvalidInput before it has enrolled."""
    identity = load_identity(store)
    if identity is None or not identity.device_id:
        raise InvalidInput("this device has not enrolled yet", remedy="run: fedrela device enroll <link>")
    return identity


def save_identity(store: Store, identity: Identity) -> None:
    """Keep what enrollment gave."""
    store.put("identity.json", strict.to_json(identity))


def load_assignment(store: Store) -> HeldAssignment | None:
    """The assignment under way, if there is one. A damaged record counts as none: the lease will run out."""
    body = assignment_part(store, "assignment.json")
    try:
        return strict.from_json(HeldAssignment, body) if body is not None else None
    except InvalidInput:
        clear_assignment(store)
        return None


def save_assignment(store: Store, held: HeldAssignment) -> None:
    """Keep the assignment, so that a restart goes on with it."""
    store.put("assignment/assignment.json", strict.to_json(held))


def clear_assignment(store: Store) -> None:
    """Forget the assignment: its secrets first, then its record, without which nothing else of it is looked at."""
    for key in ASSIGNMENT_KEYS:
        store.delete(key)


def save_snapshot(store: Store, snapshot: Snapshot) -> None:
    """Keep the training state of the assignment."""
    metadata = {"steps": str(snapshot.steps), "seconds": repr(snapshot.seconds)}
    store.put("assignment/snapshot", tensors.to_bytes(snapshot.tensors, metadata))


def load_snapshot(store: Store, specs: tuple[TensorSpec, ...]) -> Snapshot | None:
    """The kept training state, if it is whole and fits; training starts from the beginning otherwise."""
    body = store.get("assignment/snapshot")
    if body is None:
        return None
    try:
        state = tensors.from_bytes(body, specs)
        metadata = tensors.read_metadata(body)
        return Snapshot(int(metadata["steps"]), float(metadata["seconds"]), state)
    except (InvalidTensors, KeyError, ValueError):
        store.delete("assignment/snapshot")
        return None


def load_overlay(store: Store, task_id: str) -> Overlay | None:
    """The task's overlay; None before its first re-labeling, or where the file is damaged."""
    body = store.get(f"overlays/{task_key(task_id)}")
    try:
        return Overlay.from_bytes(body) if body is not None else None
    except InvalidTensors:
        return None


def save_overlay(store: Store, task_id: str, overlay: Overlay) -> None:
    """Keep the overlay of a task."""
    store.put(f"overlays/{task_key(task_id)}", overlay.to_bytes())


def load_residual(store: Store, task_id: str, specs: tuple[TensorSpec, ...]) -> Params | None:
    """What earlier top-k updates of a task dropped, of the tensors of `specs`: version 0.1 kept more of them."""
    body = store.get(f"residuals/{task_key(task_id)}")
    try:
        stored = tensors.read(body) if body is not None else {}
        owed = {spec.name: stored[spec.name] for spec in specs if spec.name in stored}
        tensors.check(owed, specs)
    except InvalidTensors:
        return None
    return owed


def commit_residual(store: Store, task_id: str) -> None:
    """The assignment's update was accepted, so what it dropped is now owed. Repeating it changes nothing."""
    body = store.get("assignment/residual")
    if body is not None:
        store.put(f"residuals/{task_key(task_id)}", body)


def cached(store: Store, key: str, sha256: str) -> bytes | None:
    """A kept blob whose bytes still match their hash."""
    body = store.get(key)
    if body is not None and signing.sha256(body) != sha256:
        store.delete(key)
        return None
    return body


def drop_partial(store: Store, *, but: str) -> None:
    """Forget downloads that were begun and given up, all but the one of this hash."""
    for key in store.keys("partial/"):
        if key != f"partial/{but}":
            store.delete(key)


def keep_checkpoint(store: Store, sha256: str, body: bytes) -> None:
    """Keep the present global weights; those of earlier rounds go."""
    for key in store.keys("checkpoint/"):
        store.delete(key)
    store.put(f"checkpoint/{sha256}", body)


def save_status(store: Store, **status: object) -> None:
    """Keep what `fedrela device status` shows."""
    store.put("status.json", json.dumps(status).encode())


def load_status(store: Store) -> dict[str, object]:
    """What was kept last."""
    try:
        status = json.loads(store.get("status.json") or b"{}")
    except ValueError:
        return {}
    return status if isinstance(status, dict) else {}
