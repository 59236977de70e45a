"""The fleet key: kept off the coordinator, so that whoever has the coordinator can't invent devices.

    fleet key  ->  token key, whose seed travels in the link's fragment alone  ->  a device's identity key

The coordinator passes certificates on and holds no seed. Whoever holds a link can certify devices while it is valid.
The link's part is `fleet-KEY-SEED-SIGNATURE-POPULATION`: the fleet's public key, the token's private key, the fleet's
signature over the token's public key, and the population that it is for.

    >>> fleet_key, token_seed, device = "01" * 32, "02" * 32, signing.public_key("03" * 32)
    >>> endorsed = endorse(fleet_key, signing.public_key(token_seed), "default")
    >>> check(certify(endorsed, token_seed, device, "default"), device, "default", endorsed.fingerprint())
    >>> read_part(link_part(endorsed, token_seed, "default")) == Membership(endorsed, token_seed, "default")
    True
"""

import re
from dataclasses import dataclass

from fedrela.core import signing
from fedrela.core.errors import IntegrityError, InvalidMessage
from fedrela.core.protocol import links
from fedrela.core.protocol.limits import PublicKey, Signature
from fedrela.core.secure import statements
from fedrela.core.secure.messages import Certificate


@dataclass(frozen=True)
class Endorsement:
    """That a token's devices belong to a fleet: `signature` is the fleet key's over `statements.fleet_token`."""

    fleet_key: PublicKey
    token_key: PublicKey
    signature: Signature

    def fingerprint(self) -> str:
        """The fleet key's fingerprint, as a link names it."""
        return signing.fingerprint(self.fleet_key)


@dataclass(frozen=True)
class Membership:
    """What a link says of a fleet: its word for the link's token, and the private key of that token, `token_seed`."""

    endorsed: Endorsement
    token_seed: str
    population: str

    def certificate(self, identity_key: str) -> Certificate:
        """That of the device that has this link."""
        return certify(self.endorsed, self.token_seed, identity_key, self.population)


def link_part(endorsed: Endorsement, token_seed: str, population: str) -> str:
    """What a link says of a fleet."""
    return f"fleet-{endorsed.fleet_key}-{token_seed}-{endorsed.signature}-{population}"


def read_part(part: str) -> Membership:
    """What a link's part holds. Raises InvalidMessage for none, IntegrityError where the fleet hasn't signed it."""
    fitting = re.fullmatch(links.FLEET, part)
    if fitting is None:
        raise InvalidMessage("that is not what a link says of a fleet", remedy="ask the operator for a new link")
    fleet_key, token_seed, signature, population = fitting.groups()
    endorsed = Endorsement(fleet_key, signing.public_key(token_seed), signature)
    signing.verify(fleet_key, statements.fleet_token(population, endorsed.token_key), signature)
    return Membership(endorsed, token_seed, population)


def endorse(fleet_private_key: str, token_key: str, population: str) -> Endorsement:
    """The fleet's word for a token of one population; `token_key`: the token's public key."""
    signature = signing.sign(fleet_private_key, statements.fleet_token(population, token_key))
    return Endorsement(signing.public_key(fleet_private_key), token_key, signature)


def certify(endorsed: Endorsement, token_seed: str, identity_key: str, population: str) -> Certificate:
    """A device's certificate, which it makes itself with the token's private key, `token_seed`, from its link."""
    signature = signing.sign(token_seed, statements.fleet_device(population, identity_key))
    return Certificate(endorsed.fleet_key, endorsed.token_key, endorsed.signature, signature)


def check(certificate: Certificate | None, identity_key: str, population: str, pinned: str) -> None:
    """Raise IntegrityError unless the fleet of the fingerprint `pinned` vouches for that device in that population."""
    if certificate is None or signing.fingerprint(certificate.fleet_key) != pinned:
        raise IntegrityError(
            "a member is not of this device's fleet", remedy="nothing was sent; the coordinator may invent devices"
        )
    token = statements.fleet_token(population, certificate.token_key)
    signing.verify(certificate.fleet_key, token, certificate.fleet_signature)
    device = statements.fleet_device(population, identity_key)
    signing.verify(certificate.token_key, device, certificate.token_signature)
