"""A certificate goes from the fleet's key over a token's to one device of one population, and nowhere else."""

from dataclasses import replace

import pytest

from fedrela.core import signing
from fedrela.core.errors import IntegrityError, InvalidMessage
from fedrela.core.secure import fleet

FLEET, TOKEN, OTHER = "01" * 32, "02" * 32, "03" * 32
DEVICE = signing.public_key("04" * 32)
ENDORSED = fleet.endorse(FLEET, signing.public_key(TOKEN), "default")
PINNED = ENDORSED.fingerprint()
CERTIFICATE = fleet.certify(ENDORSED, TOKEN, DEVICE, "default")


def test_a_link_s_part_makes_certificates():
    part = fleet.link_part(ENDORSED, TOKEN, "default")
    assert fleet.read_part(part).certificate(DEVICE) == CERTIFICATE


@pytest.mark.parametrize("forged", ["", "fleet-", fleet.link_part(ENDORSED, TOKEN, "")])
def test_what_is_no_part_of_a_link(forged):
    with pytest.raises(InvalidMessage):
        fleet.read_part(forged)


@pytest.mark.parametrize(
    "forged",
    [
        fleet.link_part(ENDORSED, OTHER, "default"),
        fleet.link_part(ENDORSED, TOKEN, "another"),
        fleet.link_part(replace(ENDORSED, fleet_key=signing.public_key(OTHER)), TOKEN, "default"),
    ],
    ids=["other token", "other population", "other fleet"],
)
def test_a_part_that_the_fleet_has_not_signed_is_refused(forged):
    with pytest.raises(IntegrityError):
        fleet.read_part(forged)


def test_a_device_of_the_fleet_is_known():
    fleet.check(CERTIFICATE, DEVICE, "default", PINNED)


@pytest.mark.parametrize(
    "forged",
    [
        None,
        fleet.certify(fleet.endorse(OTHER, signing.public_key(TOKEN), "default"), TOKEN, DEVICE, "default"),
        fleet.certify(ENDORSED, OTHER, DEVICE, "default"),
        fleet.certify(ENDORSED, TOKEN, signing.public_key(OTHER), "default"),
        fleet.certify(ENDORSED, TOKEN, DEVICE, "another"),
        fleet.certify(fleet.endorse(FLEET, signing.public_key(TOKEN), "another"), TOKEN, DEVICE, "default"),
        replace(CERTIFICATE, token_key=signing.public_key(OTHER)),
        replace(CERTIFICATE, fleet_signature=CERTIFICATE.token_signature),
    ],
    ids=["none", "other fleet", "no seed", "other device", "other population", "token's", "other token", "signature"],
)
def test_everybody_else_is_not(forged):
    with pytest.raises(IntegrityError):
        fleet.check(forged, DEVICE, "default", PINNED)
