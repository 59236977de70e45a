"""A box is for one receiver, one sender and one session."""

from dataclasses import replace

import pytest

from fedrela.core.errors import IntegrityError
from fedrela.core.secure import ciphers, sealing
from fedrela.core.secure.sealing import Address, Shares

SENDER, RECEIVER = b"s" * 32, b"r" * 32
ADDRESS = Address(bytes(32), 1, 2)
SHARES = Shares(b"o" * 32, b"m" * 32)


def test_the_receiver_opens_what_the_sender_sealed():
    box = sealing.seal(SENDER, ciphers.public_key(RECEIVER), ADDRESS, SHARES)
    assert len(box) == sealing.SEALED_BYTES == 80
    assert sealing.unseal(RECEIVER, ciphers.public_key(SENDER), ADDRESS, box) == SHARES


@pytest.mark.parametrize(
    "changed", [{"session": b"x" * 32}, {"sender": 3}, {"receiver": 3}, {"sender": 2, "receiver": 1}]
)
def test_a_box_opens_nowhere_else(changed):
    box = sealing.seal(SENDER, ciphers.public_key(RECEIVER), ADDRESS, SHARES)
    with pytest.raises(IntegrityError):
        sealing.unseal(RECEIVER, ciphers.public_key(SENDER), replace(ADDRESS, **changed), box)
