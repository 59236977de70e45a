"""What emulated devices remember between their wake-ups, as bytes: a resumed fleet goes on with the same devices.

Overlays and identities are in it; of blobs each body once, however many devices have it.

    body = dump(context)
    restore(context, body)      # of the same scenario, its devices enrolled
"""

import base64
import json
from typing import Any

from fedrela.core import signing
from fedrela.edge.storage.store import Store
from fedrela.emulator.devices.shared_context import SharedContext


def dump(context: SharedContext) -> bytes:
    """Of all devices of a process, none of which is awake."""
    bodies: dict[str, str] = {}
    devices = {
        str(index): {
            "store": _names(state.store, bodies),
            "blobs": _names(state.blobs, bodies),
            "bundles": sorted(state.bundles),
        }
        for index, state in context.states.items()
    }
    tested = {runtime: sorted(pool.tested) for runtime, pool in context.pools.items()}
    return json.dumps({"devices": devices, "bodies": bodies, "tested": tested}).encode()


def restore(context: SharedContext, body: bytes) -> None:
    """Give the devices what they remembered; what they remember now they forget."""
    document: dict[str, Any] = json.loads(body)
    bodies = {name: base64.b64decode(text) for name, text in document["bodies"].items()}
    for index, device in document["devices"].items():
        state = context.states[int(index)]
        for store, names in ((state.store, device["store"]), (state.blobs, device["blobs"])):
            store.clear()
            for key, name in names.items():
                store.put(key, bodies[name])
        state.bundles = set(device["bundles"])
    for runtime, tested in document["tested"].items():
        context.pools[runtime].tested.update(tested)  # devices of a process share what one of them has tested


def _names(store: Store, bodies: dict[str, str]) -> dict[str, str]:
    """Key -> hash of its body, which is put into `bodies`; what a shared cache has let go is left out."""
    names = {}
    for key in store.keys(""):
        body = store.get(key)
        if body is not None:
            names[key] = signing.sha256(body)
            if names[key] not in bodies:
                bodies[names[key]] = base64.b64encode(body).decode()
    return names
