"""Random numbers that are the same in every language: Philox4x32-10 keyed by a secret and a list of labels.

A *stream* is an endless sequence of 32-bit words. It is defined by a 64-bit key and a 64-bit nonce, both taken from

    digest = HMAC-SHA256(secret, encode(label_1) + encode(label_2) + ...)       # FIPS 198-1, FIPS 180-4
    encode(label) = length of the UTF-8 bytes as 4 bytes little-endian, then the bytes
                    (an integer label is its decimal text)

    key   = (digest[0:4], digest[4:8])       as little-endian unsigned 32-bit numbers
    nonce = (digest[8:12], digest[12:16])    likewise

Block b (b = 0, 1, 2, ...) of the stream is Philox4x32-10 of the counter (b mod 2^32, b div 2^32, nonce[0], nonce[1])
under that key and gives four words in order. Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as
1, 2, 3", SC'11; known answers: Random123's kat_vectors.

- A *uniform* in [0, 1) takes one word w and is the float32 number (w >> 8) * 2^-24, which is exact.
- An array of uniforms takes words from the start of its stream, in C (row-major) order.
- A *permutation* of 0..n-1 takes 2n words from the start of its stream; element i has the 64-bit sort key
  words[2i] + 2^32 * words[2i + 1]; the permutation lists the elements by ascending key, on a tie the lower first.

    >>> stream = derive(b"secret", "shuffle", 3)
    >>> permutation(stream, 5).tolist()
    [3, 1, 0, 4, 2]
"""

import hmac
import struct
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_FACTORS = (0xD2511F53, 0xCD9E8D57)
_STEPS = (0x9E3779B9, 0xBB67AE85)
_MULTIPLIERS = np.array(_FACTORS, np.uint64)[:, None]
_WEYL = np.array(_STEPS, np.uint64)
_ROUNDS = 10
_FEW_WORDS = 256
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)


@dataclass(frozen=True)
class Stream:
    """An endless sequence of 32-bit words; `key` and `nonce` are pairs of unsigned 32-bit numbers."""

    key: tuple[int, int]
    nonce: tuple[int, int]


def derive(secret: bytes, *labels: str | int) -> Stream:
    """The stream of `secret` for `labels`. Different labels give independent streams."""
    message = b""
    for label in labels:
        text = str(label).encode()
        message += struct.pack("<I", len(text)) + text
    key_0, key_1, nonce_0, nonce_1 = struct.unpack_from("<4I", hmac.digest(secret, message, "sha256"))
    return Stream((key_0, key_1), (nonce_0, nonce_1))


def philox4x32(counters: NDArray[np.uint32], key: tuple[int, int]) -> NDArray[np.uint32]:
    """Philox4x32-10 of each row. counters (n, 4) uint32 -> (n, 4) uint32."""
    even, odd = np.ascontiguousarray(counters.T[0::2], np.uint64), counters.T[1::2].astype(np.uint64)
    keys = (np.array(key, np.uint64) + np.arange(_ROUNDS, dtype=np.uint64)[:, None] * _WEYL) & _LOW
    for round_key in keys[:, :, None]:
        crossed = (even * _MULTIPLIERS)[::-1]
        even, odd = (crossed >> _SHIFT) ^ odd ^ round_key, crossed & _LOW
    output = np.empty((len(counters), 4), np.uint32)
    output[:, 0::2], output[:, 1::2] = even.T, odd.T
    return output


def words(stream: Stream, count: int) -> NDArray[np.uint32]:
    """The first `count` words of the stream, shape (count,)."""
    if count <= _FEW_WORDS:
        return _few(stream, -(-count // 4))[:count]
    blocks = np.arange(-(-count // 4), dtype=np.uint64)
    counters = np.empty((len(blocks), 4), np.uint32)
    counters[:, 0] = blocks & _LOW
    counters[:, 1] = blocks >> _SHIFT
    counters[:, 2], counters[:, 3] = stream.nonce
    return philox4x32(counters, stream.key).reshape(-1)[:count]


def _few(stream: Stream, blocks: int) -> NDArray[np.uint32]:
    """The words of the first few blocks: the same as `philox4x32`, which is slower for so few.

    One whole number of Python holds the same word of every block, each in the lower half of 64 bits of its own, so that
    no product of two words reaches the next block.
    """
    ones, low, a = _lanes(blocks)
    b, c, d = 0, stream.nonce[0] * ones, stream.nonce[1] * ones
    key_0, key_1 = stream.key
    for _ in range(_ROUNDS):
        left, right = a * _FACTORS[0], c * _FACTORS[1]
        a, b = ((right >> 32) & low) ^ b ^ (key_0 * ones), right & low
        c, d = ((left >> 32) & low) ^ d ^ (key_1 * ones), left & low
        key_0, key_1 = (key_0 + _STEPS[0]) & 0xFFFFFFFF, (key_1 + _STEPS[1]) & 0xFFFFFFFF
    output = np.empty((blocks, 2), "<u8")
    for half, pair in enumerate((a | b << 32, c | d << 32)):
        output[:, half] = np.frombuffer(pair.to_bytes(8 * blocks, "little"), "<u8")
    return output.view("<u4").reshape(-1).astype(np.uint32, copy=False)


@lru_cache(maxsize=64)
def _lanes(blocks: int) -> tuple[int, int, int]:
    """For each of so many blocks the number 1, all bits of a word, and its own number, as `_few` holds words."""
    ones = sum(1 << 64 * block for block in range(blocks))
    return ones, ones * 0xFFFFFFFF, sum(block << 64 * block for block in range(blocks))


def uniforms(stream: Stream, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Numbers in [0, 1), float32, from the start of the stream."""
    count = int(np.prod(shape, dtype=np.int64))
    return ((words(stream, count) >> np.uint32(8)).astype(np.float32) * np.float32(2**-24)).reshape(shape)


def uniforms_at(stream: Stream, places: NDArray[np.int64]) -> NDArray[np.float32]:
    """Those of `uniforms` at `places` of the flattened array, shape (n,), without drawing the ones between."""
    blocks, within = np.divmod(places.astype(np.uint64), np.uint64(4))
    counters = np.empty((len(blocks), 4), np.uint32)
    counters[:, 0] = blocks & _LOW
    counters[:, 1] = blocks >> _SHIFT
    counters[:, 2], counters[:, 3] = stream.nonce
    drawn = philox4x32(counters, stream.key)[np.arange(len(blocks)), within]
    return (drawn >> np.uint32(8)).astype(np.float32) * np.float32(2**-24)


def permutation(stream: Stream, n: int) -> NDArray[np.int64]:
    """A uniformly random order of 0..n-1, shape (n,)."""
    low, high = words(stream, 2 * n).reshape(n, 2).astype(np.uint64).T
    return np.argsort(low | (high << _SHIFT), kind="stable").astype(np.int64)
