"""Joining a coordinator and leaving it: the two calls outside of rounds.

identity = enroll(CoordinatorApi(http, url), FolderStore(folder), token)
forget(api, store)
"""

import secrets

from fedrela.core import signing
from fedrela.core.errors import InvalidInput, Refused
from fedrela.core.wire import EnrollRequest
from fedrela.edge.network.api import CoordinatorApi
from fedrela.edge.storage import state
from fedrela.edge.storage.state import Identity
from fedrela.edge.storage.store import Store


def enroll(api: CoordinatorApi, store: Store, token: str, *, secret: bytes = b"", private_key: str = "") -> Identity:
    """Join `api.url` with an enrollment token, and pin its key. The identity is kept in `store`.

    An enrollment cut off in the middle is safe to repeat: the device's own key is kept before anything is sent.
    `secret` and `private_key` are made at random unless given.
    """
    earlier = state.load_identity(store)
    if earlier is not None and earlier.device_id:
        raise InvalidInput(
            f"this device has already enrolled at {earlier.url}",
            remedy="run `fedrela device forget` first, or name another folder with --state",
        )
    key = private_key or (earlier.private_key if earlier else signing.generate_key())
    own_secret = secret.hex() or (earlier.secret if earlier else secrets.token_hex(32))
    state.save_identity(store, Identity(api.url, "", "", "", "", key, own_secret))
    answer = api.enroll(EnrollRequest(token, signing.public_key(key)))
    identity = Identity(
        api.url,
        answer.device_id,
        answer.device_token,
        answer.coordinator_public_key,
        answer.population,
        key,
        own_secret,
    )
    state.save_identity(store, identity)
    return identity


def forget(api: CoordinatorApi, store: Store) -> None:
    """Tell the coordinator to forget this device, then delete everything the device keeps. Raises Unavailable first."""
    identity = state.load_identity(store)
    if identity is not None and identity.device_id:
        api.url, api.token = identity.url, identity.device_token
        try:
            api.leave()
        except Refused as refusal:
            if refusal.status not in (401, 404, 410):  # it has forgotten us already
                raise
    store.clear()
