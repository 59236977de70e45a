"""Joining a coordinator and leaving it: the two calls outside of rounds.

identity = enroll(CoordinatorApi(http), FolderStore(folder), links.parse(link))
forget(api, store)
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace

from fedrela.core import signing
from fedrela.core.errors import IntegrityError, InvalidInput, Refused
from fedrela.core.protocol import links, statements
from fedrela.core.protocol.links import Link
from fedrela.core.secure import fleet
from fedrela.core.wire import EnrollRequest
from fedrela.edge.network.admission import newest_key
from fedrela.edge.network.api import CoordinatorApi, Sent
from fedrela.edge.owner import promises
from fedrela.edge.storage import state
from fedrela.edge.storage.sent_log import SentLog
from fedrela.edge.storage.state import Identity
from fedrela.edge.storage.state_folder import Cleared
from fedrela.edge.storage.store import Store
from fedrela.edge.training.faults import is_away


@contextmanager
def logged(api: CoordinatorApi, store: Store) -> Iterator[None]:
    """Whatever is sent within is in the owner's record, as what a device sends once it is enrolled."""
    log, before = SentLog(store), api.sent

    def record(sent: Sent) -> None:
        log.add(api.now(), sent.method, sent.path, sent.body)

    api.sent = record
    try:
        yield
    finally:
        api.sent = before


def enroll(
    api: CoordinatorApi,
    store: Store,
    link: Link,
    *,
    insecure: bool = False,
    secret: bytes = b"",
    private_key: str = "",
    keep_log: bool = True,
) -> Identity:
    """Join the coordinator of a link, if it holds the key that the link names. The identity is kept in `store`.

    An enrollment cut off in the middle is safe to repeat: the device's own key is kept before anything is sent.
    `secret` and `private_key` are made at random unless given. `keep_log`: keep a record of what is sent.
    Raises InvalidInput for a link over plain http to another machine, unless `insecure`; IntegrityError, with nothing
    kept of the answer, where another key answers.
    """
    earlier = state.load_identity(store)
    if earlier is not None and earlier.device_id:
        raise InvalidInput(
            f"this device has already enrolled at {earlier.url}",
            remedy="run `fedrela device forget` first, or name another folder with --state",
        )
    require_private(link, insecure=insecure)
    api.url = link.url
    key = private_key or (earlier.private_key if earlier else signing.generate_key())
    own_secret = secret.hex() or (earlier.secret if earlier else secrets.token_hex(32))
    member_of = fleet.read_part(link.fleet) if link.fleet else None
    pinned_fleet = member_of.endorsed.fingerprint() if member_of else ""
    begun = Identity(link.url, "", "", "", "", key, own_secret, link.publishers, pinned_fleet)
    state.save_identity(store, begun)
    public_key = signing.public_key(key)
    certificate = member_of.certificate(public_key) if member_of else None
    proof = signing.sign(key, statements.enrollment(link.token, public_key, link.coordinator))
    with logged(api, store) if keep_log else nullcontext():
        answer = api.enroll(EnrollRequest(link.token, public_key, link.coordinator, proof, certificate))
        check_pinned(api, answer.coordinator_public_key, link.coordinator)
    if member_of is not None and answer.population != member_of.population:
        raise IntegrityError(
            f"the link is for the population {member_of.population!r}, the coordinator says {answer.population!r}",
            remedy="nothing was kept of its answer; ask the operator for a new link",
        )
    identity = replace(
        begun,
        device_id=answer.device_id,
        device_token=answer.device_token,
        coordinator_public_key=answer.coordinator_public_key,
        population=answer.population,
    )
    state.save_identity(store, identity)
    return identity


def require_private(link: Link, *, insecure: bool) -> None:
    """Raise InvalidInput for a link over plain http to another machine, unless `insecure`."""
    if not insecure and not links.is_private(link.url):
        raise InvalidInput(
            f"{link.url} is plain http: whoever is on the way reads everything and can stand in for the coordinator",
            remedy="ask for an https link; on a network that you trust, add --insecure",
        )


def check_pinned(api: CoordinatorApi, public_key: str, fingerprint: str) -> None:
    """Raise IntegrityError unless a key is the one that a link names, or follows it."""
    if signing.fingerprint(public_key) == fingerprint:
        return
    fault = IntegrityError(
        f"the coordinator's key {signing.fingerprint(public_key)} is not the link's {fingerprint}",
        remedy="somebody may be on the way between you: nothing was kept; ask the operator",
    )
    if newest_key(api, fingerprint, fault) != public_key:
        raise fault


def notes(api: CoordinatorApi, link: Link) -> list[str]:
    """What an owner should know before enrolling, of each open task: what its coordinator can read, and how many
    devices are mixed at least where that is fewer than usual.
    """
    api.url = link.url
    try:
        tasks = api.open_tasks(link.token)
    except (Refused, InvalidInput):  # enrolling says what is wrong with the link, and old coordinators can't tell
        return []
    return [note for task in tasks for note in (promises.of(task, link.fleet), promises.cohort(task)) if note]


def forget(api: CoordinatorApi, store: Store) -> Cleared:
    """Tell the coordinator to forget this device, then delete everything the device keeps. Raises Unavailable first."""
    leave(api, store)
    return store.clear()


def leave(api: CoordinatorApi, store: Store) -> None:
    """Tell the coordinator to forget this device. Raises what `is_away` names where it can't be told."""
    identity = state.load_identity(store)
    if identity is not None and identity.device_id:
        api.act_as(identity)
        try:
            api.leave()
        except Refused as refusal:
            if is_away(refusal) or refusal.status not in (401, 404, 410):  # else it has forgotten us already
                raise
