"""Pads cancel, wrap around, look like chance, and come off again."""

import numpy as np
import pytest

from fedrela.core.secure import ciphers, pads

SESSION = b"s" * 32
KEYS = {index: bytes([index]) * 32 for index in (1, 2, 3)}
PUBLIC = {index: ciphers.public_key(key) for index, key in KEYS.items()}
SEEDS = {index: bytes([100 + index]) * 32 for index in KEYS}


def masked(index, vector, senders):
    others = {other: PUBLIC[other] for other in senders if other != index}
    return pads.mask(vector, own_seed=SEEDS[index], mask_key=KEYS[index], index=index, others=others, session=SESSION)


def test_words_are_the_keystream_in_little_endian():
    words = np.zeros(2, np.uint32)
    pads.add(words, bytes(32))  # RFC 8439, A.1: 76 b8 e0 ad a0 f1 3d 90
    assert [hex(word) for word in words] == ["0xade0b876", "0x903df1a0"]


@pytest.mark.parametrize("size", [0, 1, 5, ciphers.STRIP_BYTES // 4 + 3])
def test_what_was_added_comes_off(size):
    words = np.arange(size, dtype=np.uint32)
    pads.add(words, b"k" * 32)
    pads.subtract(words, b"k" * 32)
    assert np.array_equal(words, np.arange(size, dtype=np.uint32))


def test_pairs_cancel_and_own_pads_come_off_at_the_edges_of_int32():
    vectors = {1: np.int32([2**31 - 1, -5, 0]), 2: np.int32([1, 5, -(2**31)]), 3: np.int32([-1, 0, 7])}
    total = sum((masked(index, vector, KEYS) for index, vector in vectors.items()), np.zeros(3, np.uint32))
    for seed in SEEDS.values():
        pads.remove_own(total, seed, SESSION)
    assert total.view(np.int32).tolist() == [2**31 - 1, 0, -(2**31) + 7]


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_lost_member_s_pairs_come_off(lost):
    survivors = [index for index in KEYS if index != lost]
    total = sum((masked(index, np.int32([index, -index]), KEYS) for index in survivors), np.zeros(2, np.uint32))
    for index in survivors:
        pads.remove_own(total, SEEDS[index], SESSION)
    pads.remove_pairs(total, lost, KEYS[lost], {index: PUBLIC[index] for index in survivors}, SESSION)
    assert total.view(np.int32).tolist() == [sum(survivors), -sum(survivors)]


def test_the_vector_is_not_changed():
    vector = np.int32([1, 2, 3])
    masked(1, vector, KEYS)
    assert vector.tolist() == [1, 2, 3]


def test_masked_bytes_of_opposite_vectors_look_like_chance_and_like_nothing_of_each_other():
    size = 250_000
    low, high = (masked(index, np.full(size, sign * 2**25, np.int32), KEYS) for index, sign in ((1, -1), (2, 1)))
    for words in (low, high):
        counts = np.bincount(words.view(np.uint8), minlength=256)
        chi_square = ((counts - counts.mean()) ** 2 / counts.mean()).sum()
        assert 255 - 5 * np.sqrt(510) < chi_square < 255 + 5 * np.sqrt(510)
    correlation = np.corrcoef(low.astype(np.float64), high.astype(np.float64))[0, 1]
    own = np.corrcoef(low[1:].astype(np.float64), low[:-1].astype(np.float64))[0, 1]
    assert max(abs(correlation), abs(own)) < 5 / np.sqrt(size)
