"""Secrets on the wire: made at random, kept as hashes, compared in constant time.

    enrollment token   limited in number and time, revocable; kept as a hash
    device token      one per device, shown once; kept as a hash
    upload token      one per assignment; not kept at all: HMAC-SHA256 of the assignment's id under the signing key
    admin key         the operator's, from the environment

Every random token carries 256 bits, so a plain SHA-256 (no salt, no stretching) is the right hash for it.

    >>> len(new_token())
    43
"""

import hashlib
import hmac
import secrets

from fedrela.core.errors import Refused


def new_token() -> str:
    """A random secret, 256 bits, URL-safe."""
    return secrets.token_urlsafe(32)


def new_id(prefix: str) -> str:
    """A random public name such as `d-5f0c...`, 96 bits."""
    return f"{prefix}-{secrets.token_hex(12)}"


def hash_token(token: str) -> str:
    """What the database keeps of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def upload_token(signing_key: str, assignment_id: str) -> str:
    """The one-time token of an assignment: the same for every worker, and for a device that asks again."""
    message = f"fedrela/v1/upload-token\n{assignment_id}".encode()
    return hmac.digest(bytes.fromhex(signing_key), message, "sha256").hex()


def same(left: str, right: str) -> bool:
    """Whether two secrets are equal, in constant time."""
    return hmac.compare_digest(left.encode(), right.encode())


def bearer(header: str | None) -> str:
    """The token of an `Authorization: Bearer` header. Raises Refused(401) where there is none."""
    scheme, _, token = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise unauthenticated()
    return token.strip()


def unauthenticated() -> Refused:
    """The one answer to every missing, wrong or revoked credential."""
    return Refused(
        "the credentials are missing, wrong or revoked",
        remedy="send `Authorization: Bearer <token>`; a device whose token was revoked has to enroll again",
        code="unauthenticated",
        status=401,
    )


def bad_link() -> Refused:
    """The one answer to every enrollment token that opens nothing."""
    return Refused(
        "the enrollment token is wrong, used up, expired or revoked",
        remedy="ask the operator for a new link (`fedrela token create`)",
        code="bad-enrollment-token",
        status=403,
    )
