"""Philox against Random123's published known answers, and the laws of what is made from it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrela.core import streams

# Random123, tests/kat_vectors, "philox4x32 10": counter, key, expected words.
KNOWN_ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (
        (0xFFFFFFFF,) * 4,
        (0xFFFFFFFF,) * 2,
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_philox_known_answers(counter, key, expected):
    assert tuple(streams.philox4x32(np.array([counter], np.uint32), key)[0]) == expected


def scalar_philox(counter, key):
    """The same in plain Python integers, written from the paper's figure: an independent reference."""
    c, k = list(counter), list(key)
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & 0xFFFFFFFF, (p0 >> 32) ^ c[3] ^ k[1], p0 & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


@given(st.integers(1, 40), st.binary(max_size=8))
def test_words_are_philox_of_a_running_counter(count, secret):
    stream = streams.derive(secret, "x", 1)
    expected = [
        word for block in range(-(-count // 4)) for word in scalar_philox((block, 0, *stream.nonce), stream.key)
    ]
    assert streams.words(stream, count).tolist() == expected[:count]


def test_labels_cannot_run_into_each_other():
    assert streams.derive(b"s", "ab", "c") != streams.derive(b"s", "a", "bc")
    assert streams.derive(b"s", "1") == streams.derive(b"s", 1)
    assert streams.derive(b"s", "a") != streams.derive(b"t", "a")


def test_uniforms_are_exact_multiples_of_two_to_minus_24():
    stream = streams.derive(b"s", "u")
    u = streams.uniforms(stream, (5, 7))
    assert u.dtype == np.float32
    assert u.shape == (5, 7)
    assert np.array_equal(u.reshape(-1) * 2**24, streams.words(stream, 35) >> 8)
    assert streams.uniforms(stream, ()).shape == ()


def test_uniforms_look_uniform():
    u = streams.uniforms(streams.derive(b"s", "many"), (200_000,))
    assert u.min() >= 0
    assert u.max() < 1
    counts = np.bincount((u * 20).astype(int), minlength=20)
    chi_square = float(((counts - 10_000) ** 2 / 10_000).sum())
    assert chi_square < 45  # 19 degrees of freedom: p is below 0.001 above 43.8


@given(st.integers(0, 200), st.integers(0, 5))
def test_permutation_is_a_permutation_by_ascending_key(n, label):
    stream = streams.derive(b"s", label)
    order = streams.permutation(stream, n)
    assert sorted(order.tolist()) == list(range(n))
    keys = [int(low) + (int(high) << 32) for low, high in streams.words(stream, 2 * n).reshape(n, 2)]
    assert order.tolist() == sorted(range(n), key=lambda i: (keys[i], i))


def test_a_few_words_are_the_first_of_many():
    for secret in (b"a", b"b", b"c"):
        stream = streams.derive(secret, "few", 7)
        many = streams.words(stream, 1000)
        for count in (0, 1, 3, 4, 5, 47, 48, 49, 255, 256, 257):
            assert (streams.words(stream, count) == many[:count]).all()


def test_uniforms_at_places_are_those_of_the_whole():
    stream = streams.derive(b"s", "places")
    places = np.array([0, 1, 3, 4, 999, 1000, 2047])
    assert np.array_equal(streams.uniforms_at(stream, places), streams.uniforms(stream, (2048,))[places])
