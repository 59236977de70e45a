"""Any t shares give a secret back and t - 1 say nothing; one case is worked by hand."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrela.core.errors import InvalidMessage
from fedrela.core.secure import shamir


def test_a_line_by_hand():
    # 1 + 2 x in GF(2^8): 1 ^ 2 = 3, 1 ^ 4 = 5, 1 ^ 6 = 7.
    shares = shamir.split(b"\x01", threshold=2, members=3, coefficients=b"\x02")
    assert shares == (b"\x03", b"\x05", b"\x07")
    assert shamir.combine({1: b"\x03", 3: b"\x07"}) == b"\x01"


@given(st.data())
@settings(max_examples=40)
def test_any_threshold_of_shares_gives_the_secret_and_every_share(data):
    members = data.draw(st.integers(1, 64))
    threshold = data.draw(st.integers(1, members))
    secret = data.draw(st.binary(min_size=1, max_size=33))
    coefficients = data.draw(st.randoms(use_true_random=False)).randbytes((threshold - 1) * len(secret))
    shares = shamir.split(secret, threshold=threshold, members=members, coefficients=coefficients)
    chosen = data.draw(st.permutations(range(1, members + 1)))[:threshold]
    subset = {index: shares[index - 1] for index in chosen}
    assert shamir.combine(subset) == secret
    assert [shamir.combine(subset, at=index) for index in range(1, members + 1)] == list(shares)


def test_one_share_too_few_fits_every_secret():
    # Of t = 3: whatever the secret's byte, the same two shares come from exactly one choice of coefficients.
    two = {1: b"\x10", 2: b"\x20"}
    thirds = {shamir.combine({**two, 3: bytes([third])}) for third in range(256)}
    assert thirds == {bytes([secret]) for secret in range(256)}


def test_shares_below_the_threshold_are_uniform():
    size, rng = 100_000, np.random.default_rng(0)
    shares = shamir.split(bytes(size), threshold=3, members=5, coefficients=rng.bytes(2 * size))
    counts = np.bincount(np.frombuffer(b"".join(shares[:2]), np.uint8), minlength=256)
    chi_square = ((counts - counts.mean()) ** 2 / counts.mean()).sum()
    assert 255 - 5 * np.sqrt(510) < chi_square < 255 + 5 * np.sqrt(510)


def test_a_wrong_share_gives_another_secret():
    shares = shamir.split(b"secret", threshold=3, members=4, coefficients=bytes(range(12)))
    good = dict(enumerate(shares, 1))
    for subset in combinations(good, 3):
        changed = {index: good[index] for index in subset} | {subset[0]: bytes(6)}
        assert shamir.combine(changed) != b"secret"


@pytest.mark.parametrize("shares", [{}, {1: b"a", 2: b"bb"}, {0: b"a", 1: b"b"}, {256: b"a", 1: b"b"}])
def test_shares_that_do_not_belong_together_are_refused(shares):
    with pytest.raises(InvalidMessage):
        shamir.combine(shares)
