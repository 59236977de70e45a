"""Vectors for Philox4x32-10, derivation, words, uniforms and permutations.

>>> build()["philox4x32_10"][0]["output"]
['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
"""

from typing import Any

import numpy as np

from fedrela.core import streams
from fedrela.core.streams import Stream

# Random123's published known answers for philox4x32 with ten rounds (file kat_vectors): counter, key, output.
KNOWN_ANSWERS = (
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
)
LABELS: tuple[tuple[str | int, ...], ...] = (
    (),
    ("",),
    ("shuffle", 3),
    ("fedrela/v1", 7, 12, "train", 40, "augment.crop"),
    ("fedrela/v1", 7, 12, "relabel-draw"),
    ("a", "bc"),
    ("ab", "c"),
    ("größe", "画像", "🙂"),
    (0, 4294967296, 9007199254740991),
)
SECRETS = (b"", b"secret", bytes(range(32)), bytes(range(200)))


def build() -> dict[str, Any]:
    """The document streams.json."""
    stream = streams.derive(b"secret", "shuffle", 3)
    extreme = Stream((0xFFFFFFFF, 0), (0, 0xFFFFFFFF))
    return {
        "philox4x32_10": [
            {"counter": counter.split(), "key": key.split(), "output": output.split()}
            for counter, key, output in KNOWN_ANSWERS
        ],
        "derive": [_derived(secret, labels) for secret in SECRETS for labels in LABELS],
        "words": [
            {**_stream(item), "count": count, "words": streams.words(item, count).tolist()}
            for item in (stream, extreme)
            for count in (0, 1, 3, 4, 5, 17)
        ],
        "uniforms": [
            {**_stream(item), "shape": list(shape), "numerators": _numerators(item, shape)}
            for item in (stream, extreme)
            for shape in ((), (3,), (2, 3), (2, 1, 4), (0, 5))
        ],
        "permutation": [
            {**_stream(item), "n": n, "permutation": streams.permutation(item, n).tolist()}
            for item in (stream, extreme)
            for n in (0, 1, 2, 5, 97)
        ],
    }


def _stream(stream: Stream) -> dict[str, Any]:
    return {"key": list(stream.key), "nonce": list(stream.nonce)}


def _derived(secret: bytes, labels: tuple[str | int, ...]) -> dict[str, Any]:
    return {"secret": secret.hex(), "labels": list(labels), **_stream(streams.derive(secret, *labels))}


def _numerators(stream: Stream, shape: tuple[int, ...]) -> list[int]:
    """The uniforms times 2^24: whole numbers, so that JSON can't round them."""
    numerators = (streams.uniforms(stream, shape).reshape(-1) * np.float32(2**24)).astype(np.int64)
    return [int(numerator) for numerator in numerators]
