"""Pads: words that hide a vector. A pair's pad is added by the lower and subtracted by the higher index, so it cancels.

A pad is ChaCha20's keystream read as little-endian words of 32 bits; sums wrap around, as int32 does everywhere.

    >>> session, a, b = bytes(32), b"a" * 32, b"b" * 32
    >>> one, two = np.zeros(3, np.uint32), np.zeros(3, np.uint32)
    >>> add(one, pair_key(a, ciphers.public_key(b), session))
    >>> subtract(two, pair_key(b, ciphers.public_key(a), session))
    >>> (one + two).tolist()
    [0, 0, 0]
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fedrela.core.secure import ciphers

Words = NDArray[np.uint32]

_WORD_BYTES = 4


def pair_key(mask_key: bytes, other_public_key: bytes, session: bytes) -> bytes:
    """The key of the pad that two members share. Raises IntegrityError for a public key of small order."""
    return ciphers.derive_key(ciphers.agree(mask_key, other_public_key), b"pair" + session)


def own_key(own_seed: bytes, session: bytes) -> bytes:
    """The key of the pad that one member adds."""
    return ciphers.derive_key(own_seed, b"own" + session)


def add(words: Words, key: bytes) -> None:
    """Add a pad to `words` (d,), in place."""
    _apply(np.add, words, key)


def subtract(words: Words, key: bytes) -> None:
    """Take a pad off `words` (d,), in place."""
    _apply(np.subtract, words, key)


def apply_pair(words: Words, key: bytes, index: int, other: int) -> None:
    """Add to `words`, in place, what member `index` adds for the pair it forms with `other`."""
    _apply(np.add if index < other else np.subtract, words, key)


def mask(
    vector: NDArray[np.int32],
    *,
    own_seed: bytes,
    mask_key: bytes,
    index: int,
    others: Mapping[int, bytes],
    session: bytes,
    out: Words | None = None,
) -> Words:
    """A member's vector (d,) as it leaves the device. `others`: public mask keys of the other senders, by index.

    `out`, (d,): where to put it, else in new memory.
    """
    words = np.empty(vector.size, np.uint32) if out is None else out
    words.view(np.int32)[:] = vector
    add(words, own_key(own_seed, session))
    for other, public_key in others.items():
        apply_pair(words, pair_key(mask_key, public_key, session), index, other)
    return words


def remove_own(total: Words, own_seed: bytes, session: bytes) -> None:
    """Take a survivor's own pad off the sum, in place."""
    subtract(total, own_key(own_seed, session))


def remove_pairs(total: Words, index: int, mask_key: bytes, survivors: Mapping[int, bytes], session: bytes) -> None:
    """Take off the sum, in place, what the survivors added for member `index`, which vanished: nothing cancels it."""
    for survivor, public_key in survivors.items():
        apply_pair(total, pair_key(mask_key, public_key, session), index, survivor)


def _apply(operation: np.ufunc, words: Words, key: bytes) -> None:
    """Strip by strip, so that no pad is in memory as a whole."""
    start = 0
    for strip in ciphers.keystream(key, _WORD_BYTES * words.size):
        pad = np.frombuffer(strip, "<u4")
        part = words[start : start + pad.size]
        operation(part, pad, out=part)
        start += pad.size
