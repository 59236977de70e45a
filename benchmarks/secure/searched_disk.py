"""Whether anything that must not be stored is in a folder, byte for byte: database, its own log, blobs, log lines."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmarks.secure.stored_round import Stored
from fedrela.core.secure import masked_body
from tests.coordinator.secure.players import Player

_WORDS = 16  # of a vector: so many in a row are no chance
_KEY_BYTES = 8  # of a pattern, that are looked for first


def found(stored: Stored, folder: Path) -> dict[str, int]:
    """Of how many devices the secrets and updates are there; and the masked words and the identity, which should be."""
    everything = b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
    patterns = {player.number: _patterns(player) for player in stored.players}
    there = present(everything, [one for of in patterns.values() for some in of.values() for one in some])
    counts = {"bytes": len(everything)}
    for kind in ("secrets", "updates", "masked", "identities"):
        counts[kind] = sum(any(one in there for one in of[kind]) for of in patterns.values())
    return counts


def _patterns(player: Player) -> Mapping[str, list[bytes]]:
    """What is looked for of a device, by kind."""
    assert player.member is not None
    secrets = list(vars(player.member.secrets).values())
    vector = player.vector()
    plain = np.concatenate([array.ravel() for array in player.change.values()])
    masked = masked_body.from_bytes(player.body, len(vector))[0] if player.body else None
    return {
        "secrets": [*secrets, *(secret.hex().encode() for secret in secrets)],
        "updates": [_loudest(plain), _loudest(vector[: len(plain)])],
        "masked": [] if masked is None else [masked[:_WORDS].tobytes()],
        "identities": [player.terms.identity_key.encode()],
    }


def _loudest(values: np.ndarray) -> bytes:
    """A run of values around the largest, so that it isn't zeros."""
    start = min(int(np.argmax(np.abs(values))), len(values) - _WORDS)
    return values[start : start + _WORDS].tobytes()


def present(everything: bytes, patterns: list[bytes]) -> set[bytes]:
    """Which of the patterns are there: by their first 8 bytes at every place, then as a whole. None is shorter."""
    by_key: dict[int, list[bytes]] = {}
    for one in patterns:
        by_key.setdefault(int.from_bytes(one[:_KEY_BYTES], "little"), []).append(one)
    keys = np.array(sorted(by_key), np.uint64)
    seen: set[bytes] = set()
    for offset in range(_KEY_BYTES):
        view = np.frombuffer(everything, "<u8", (len(everything) - offset) // _KEY_BYTES, offset)
        nearest = keys[np.minimum(np.searchsorted(keys, view), len(keys) - 1)]
        for place in np.flatnonzero(nearest == view).tolist():
            of_key = by_key[int(view[place])]
            seen.update(one for one in of_key if everything.startswith(one, place * _KEY_BYTES + offset))
    return seen
