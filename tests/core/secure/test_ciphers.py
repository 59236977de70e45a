"""The four primitives against the RFCs' examples, and their refusals."""

import pytest

from fedrela.core.errors import IntegrityError
from fedrela.core.secure import ciphers

SMALL_ORDER = ("00" * 32, "01" + "00" * 31, "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")


def test_x25519_is_rfc_7748():
    alice = bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
    bob = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
    secret = bytes.fromhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")
    assert ciphers.public_key(alice).hex() == "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
    assert ciphers.agree(alice, ciphers.public_key(bob)) == ciphers.agree(bob, ciphers.public_key(alice)) == secret


@pytest.mark.parametrize("key", SMALL_ORDER)
def test_a_key_of_small_order_is_refused(key):
    with pytest.raises(IntegrityError):
        ciphers.agree(bytes(range(32)), bytes.fromhex(key))


PRIME = 2**255 - 19
COORDINATES = (
    0,
    1,
    PRIME - 1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
)
WRITTEN = [
    written.to_bytes(32, "little")
    for coordinate in COORDINATES
    for reduced in (coordinate, coordinate + PRIME)
    if reduced < 2**255
    for written in (reduced, reduced + 2**255)
]


def test_every_way_to_write_a_key_of_small_order_is_refused():
    assert len(WRITTEN) == 14
    for key in WRITTEN:
        for refuses in (ciphers.check_agreement_key, lambda key: ciphers.agree(bytes(range(32)), key)):
            with pytest.raises(IntegrityError):
                refuses(key)


def test_the_public_key_of_any_private_key_is_taken():
    for number in range(100):
        ciphers.check_agreement_key(ciphers.public_key(bytes([number]) * 32))


def test_a_key_in_disguise_agrees_on_the_same_secret_and_is_refused():
    """Two members whose keys agree alike have one pad with a third, added and taken off: it hides nothing."""
    for number in range(20):
        honest, other = ciphers.public_key(bytes([number]) * 32), bytes([100 + number]) * 32
        coordinate = int.from_bytes(honest, "little")
        for disguised in (coordinate + 2**255, pow(coordinate, -1, PRIME)):
            key = disguised.to_bytes(32, "little")
            assert ciphers.agree(other, key) == ciphers.agree(other, honest)
            with pytest.raises(IntegrityError, match="in disguise"):
                ciphers.check_agreement_key(key)


def test_of_all_coordinates_one_in_sixteen_is_a_private_key_s():
    """Half of them are on the curve, and an eighth of its points are multiples of the base point."""
    taken = 0
    for number in range(2, 1602):
        try:
            ciphers.check_agreement_key(number.to_bytes(32, "little"))
            taken += 1
        except IntegrityError:
            pass
    assert 70 < taken < 130, "100 are expected, give or take ten"


def test_chacha20_is_rfc_8439():
    # Appendix A.1, test vectors 1 and 2: blocks 0 and 1 of the key and the nonce 0.
    blocks = (
        "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
        "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"
        "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
        "29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f"
    )
    assert b"".join(ciphers.keystream(bytes(32), 128)).hex() == blocks


@pytest.mark.parametrize("size", [0, 1, ciphers.STRIP_BYTES, ciphers.STRIP_BYTES + 5, 2 * ciphers.STRIP_BYTES])
def test_a_keystream_is_the_same_whatever_its_length(size):
    whole = b"".join(ciphers.keystream(b"k" * 32, 2 * ciphers.STRIP_BYTES))
    assert b"".join(ciphers.keystream(b"k" * 32, size)) == whole[:size]


def test_derived_keys_differ_by_purpose():
    assert len({ciphers.derive_key(b"s" * 32, info) for info in (b"pair", b"own", b"")}) == 3


def test_what_was_sealed_opens_with_its_key_alone():
    sealed = ciphers.seal(b"k" * 32, b"share")
    assert ciphers.unseal(b"k" * 32, sealed) == b"share"
    changed = bytes([sealed[0] ^ 1]) + sealed[1:]
    for key, body in ((b"l" * 32, sealed), (b"k" * 32, changed), (b"k" * 32, sealed[:-1]), (b"k" * 32, b"")):
        with pytest.raises(IntegrityError):
            ciphers.unseal(key, body)
