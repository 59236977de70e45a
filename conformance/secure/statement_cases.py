"""Vectors for what members sign and hash, and for the fleet's certificates.

>>> build()["keys"][0]["message"][:24]
'66656472656c612f76312f73'
"""

from dataclasses import asdict, replace
from typing import Any

from fedrela.conformance.secure import sessions
from fedrela.core import signing
from fedrela.core.secure import fleet, statements
from fedrela.core.secure.statements import Work

FLEET, TOKEN, OTHER = "01" * 32, "02" * 32, "03" * 32
POPULATION = "default"


def build() -> dict[str, Any]:
    """The document secure/statements.json."""
    one, session = sessions.offered(1), sessions.secret("session")
    senders = statements.senders_sha256((1, 3, 16))
    return {
        "keys": [_keys(sessions.WORK), _keys(replace(sessions.WORK, clip_millionths=57_600_000))],
        "commitment": {
            "session": session.hex(),
            "own_seed": one.secrets.own_seed.hex(),
            "commitment": statements.commitment(session, one.secrets.own_seed),
        },
        "senders": {"indices": [1, 3, 16], "sha256": senders},
        "masked": {
            "session": session.hex(),
            "senders_sha256": senders,
            "words_sha256": "5a" * 32,
            "message": statements.masked(session.hex(), senders, "5a" * 32).hex(),
        },
        "survivors": {
            "session": session.hex(),
            "survivors": [1, 16],
            "senders_sha256": senders,
            "message": statements.survivors(session.hex(), (1, 16), senders).hex(),
        },
        "certificates": _certificates(),
    }


def _keys(work: Work) -> dict[str, Any]:
    """What a member signs first."""
    one = sessions.offered(1, work=work)
    signed = statements.keys(work, one.terms.assignment_id, one.keys.mask_key, one.keys.seal_key)
    return {
        "work": asdict(work),
        "assignment_id": one.terms.assignment_id,
        "identity_key": one.terms.identity_key,
        "keys": asdict(one.keys),
        "message": signed.hex(),
    }


def _certificates() -> list[dict[str, Any]]:
    """Of one device, for the fleet that is pinned; the valid one first."""
    device, token = signing.public_key("04" * 32), signing.public_key(TOKEN)
    endorsed = fleet.endorse(FLEET, token, POPULATION)
    cases = (
        ("good", fleet.certify(endorsed, TOKEN, device, POPULATION)),
        ("another fleet's", fleet.certify(fleet.endorse(OTHER, token, POPULATION), TOKEN, device, POPULATION)),
        ("made without the token's seed", fleet.certify(endorsed, OTHER, device, POPULATION)),
        ("another device's", fleet.certify(endorsed, TOKEN, signing.public_key(OTHER), POPULATION)),
        ("another population's", fleet.certify(endorsed, TOKEN, device, "another")),
        ("none", None),
    )
    return [
        {
            "name": name,
            "pinned": endorsed.fingerprint(),
            "population": POPULATION,
            "identity_key": device,
            "certificate": certificate and asdict(certificate),
            "valid": name == "good",
        }
        for name, certificate in cases
    ]
