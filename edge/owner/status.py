"""Where a device stands: what `fedrela device status` prints."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

from fedrela.core.errors import InvalidTask
from fedrela.core.protocol import links, task_json
from fedrela.edge.conditions.eligibility import Conditions
from fedrela.edge.owner import promises
from fedrela.edge.storage import kept, sent_log, trust
from fedrela.edge.storage import state as device_state
from fedrela.edge.storage.store import Store

_FOR_PROGRAMS = ("minute_of_day",)  # the clock of the conditions: people have one


def describe(store: Store, where: str, conditions: Conditions, sandbox: str = "") -> dict[str, Any]:
    """Whether this device is enrolled, the assignment under way, how the last one ended, and what its sensors say.

    `sandbox`: what holds a program back on this system.
    """
    identity, held = device_state.load_identity(store), device_state.load_assignment(store)
    assignment, trusted = _assignment(held, store) if held else None, trust.load(store)
    return {
        "state": where,
        "enrolled": bool(identity and identity.device_id),
        "coordinator": identity.url if identity else None,
        "insecure": bool(identity and not links.is_private(identity.url)),
        "coordinator_key": identity.coordinator_public_key if identity else None,
        "key_since": _time(trusted.key_since),
        "epoch": trusted.epoch or None,
        "epoch_since": _time(trusted.epoch_since),
        "device_id": identity.device_id if identity else None,
        "population": identity.population if identity else None,
        "programs_of": _publishers(identity) if identity else None,
        "fleet": identity.fleet or None if identity else None,
        "privacy": list(_privacy(store, identity.fleet if identity else "")),
        "assignment": assignment,
        "turn": assignment,  # its name in version 0.1
        "last": device_state.load_status(store),
        "requests_logged": len(sent_log.lines(store)),
        "conditions": vars(conditions),
        "sandbox": sandbox,
    }


def _publishers(identity: device_state.Identity) -> str:
    """Whose programs this device runs, by fingerprint. One that joined with version 0.1 pinned nobody."""
    return ", ".join(identity.publishers) or "whoever the coordinator names"


def _privacy(store: Store, fleet: str) -> Iterator[str]:
    """What the coordinator can read of this device, for each task that it keeps."""
    for sha256 in kept.task_hashes(store):
        body = device_state.cached(store, f"blobs/{sha256}", sha256)
        with suppress(InvalidTask):
            if body is not None:
                yield promises.of(task_json.decode(body), fleet)


def _time(at: float) -> str | None:
    """When something changed; None where it never did."""
    return datetime.fromtimestamp(at).isoformat(timespec="seconds") if at else None


def _assignment(held: device_state.HeldAssignment, store: Store) -> dict[str, Any]:
    return {
        "task_id": held.assignment.task_id,
        "round": held.assignment.round,
        "trained": device_state.assignment_part(store, "update") is not None,
        "lease_ends": datetime.fromtimestamp(held.upload_until()).isoformat(timespec="seconds"),
    }


def _shown(name: str, value: Any) -> Any:
    """A value for people: yes and no, and when something was, as their clock tells it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _time(value) if name == "at" and isinstance(value, float) else value


def _ended(last: dict[str, Any]) -> dict[str, Any]:
    """How the last assignment ended, without what its end has not: a reason, or a round, which are counted from 1."""
    return {name: value for name, value in last.items() if not (name in ("reason", "round") and not value)}


def render(status: dict[str, Any]) -> str:
    """The same as text; nothing twice, and nothing of what there is not."""
    lines = []
    for key, value in status.items():
        if key == "turn" or value is None:
            continue
        if isinstance(value, dict):
            told = _ended(value) if key == "last" else value
            shown = [
                f"{name} {_shown(name, item)}"
                for name, item in told.items()
                if item is not None and name not in _FOR_PROGRAMS
            ]
            lines.append(f"{key:16} {', '.join(shown) or 'none'}")
        elif isinstance(value, list):
            lines += [f"{key:16} {item}" for item in value]
        else:
            lines.append(f"{key:16} {_shown(key, value)}")
    return "\n".join(lines)
