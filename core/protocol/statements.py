"""What keys sign, as bytes: lines of text, the first of which says what it is, so that no signature serves for another.

    assignment     the coordinator's key: this work, for this device, in answer to this very check-in
    enrollment     the device's key: I hold it, and this token is for the coordinator of this fingerprint
    key rotation   the coordinator's former key: this one comes after me

Requests are signed too: see `fedrela.core.protocol.signed_requests`; and bundles: see `fedrela.core.bundle`.
"""

import math

from fedrela.core import signing
from fedrela.core.wire import Assignment


def assignment(offered: Assignment, device_id: str, population: str, nonce: str) -> bytes:
    """An assignment as it is signed: all but its upload token, a secret, and bound to the check-in that it answers.

    Leases are in whole milliseconds, since every language writes fractions in its own way.
    """
    return _lines(
        "fedrela/v1/assignment",
        device_id,
        population,
        nonce,
        str(offered.epoch),
        offered.assignment_id,
        *work(offered),
        str(_milliseconds(offered.compute_lease_seconds)),
        str(_milliseconds(offered.upload_lease_seconds)),
    )


def work(offered: Assignment) -> tuple[str, ...]:
    """What an assignment asks for, whoever does it and for how long: task, round, program, weights, a clipping norm.

    The last one only where the round has one: no early client reads such an assignment.
    """
    return (
        offered.task_id,
        str(offered.round),
        offered.task_sha256,
        offered.manifest_sha256,
        offered.checkpoint_sha256,
        str(offered.checkpoint_bytes),
        *([str(offered.clip_millionths)] if offered.clip_millionths else []),
    )


def enrollment(token: str, public_key: str, coordinator: str) -> bytes:
    """A proof that whoever enrolls holds the private half of `public_key`. `coordinator`: the link's fingerprint."""
    return _lines("fedrela/v1/enrollment", token, public_key, coordinator)


def key_rotation(former_key: str, public_key: str) -> bytes:
    """That `public_key` takes the place of `former_key`."""
    return _lines("fedrela/v1/key-rotation", signing.fingerprint(former_key), public_key)


def _milliseconds(seconds: float) -> int:
    """The nearest whole number, halves up: the same in every language."""
    return math.floor(1000 * seconds + 0.5)


def _lines(*parts: str) -> bytes:
    return "\n".join((*parts, "")).encode()
