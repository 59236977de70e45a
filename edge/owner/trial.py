"""`fedrela device run --check`: what a run needs is tried once, and nothing is trained.

A service starts without what a shell has: its variables, its folder, the rest of the home. So `install-service` checks
the unit that it writes by this.
"""

from fedrela.core.errors import Refused
from fedrela.edge.client import DeviceClient
from fedrela.edge.network.api import Retry
from fedrela.edge.network.fetch import parse_manifest
from fedrela.edge.training import examples
from fedrela.edge.training.faults import is_away

ATTEMPTS = 2  # somebody waits for the answer


def check(client: DeviceClient) -> dict[str, str]:
    """What each part said. Raises what a run would: InvalidData, IntegrityError, Unavailable and others."""
    confinement = client.pool.confinement
    return {
        "runtime": f"{', '.join(client.pool.offered())} ({confinement or 'not confined'})",
        "data": _data(client),
        "coordinator": _coordinator(client),
    }


def _data(client: DeviceClient) -> str:
    body = client.newest_manifest()
    if body is None:
        return "found; they are read once a task has come"
    manifest = parse_manifest(body)
    loaded = client.data(manifest)
    examples.check(loaded, manifest)
    return f"{len(loaded)} examples for {manifest.name}"


def _coordinator(client: DeviceClient) -> str:
    client.api.retry = Retry(attempts=ATTEMPTS)
    try:
        client.api.keys()
    except Refused as refusal:
        if is_away(refusal) and refusal.status != 404:  # one of version 0.1 shows no keys
            raise
    return f"{client.identity.url} answers"
