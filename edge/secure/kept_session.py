"""A session as a device keeps it: stored before each send, so that a restart sends the same bytes.

Its secrets are random, and go with it: `forget` comes at the end of a session, whatever the end is.
"""

from dataclasses import dataclass, fields

from fedrela.core import strict
from fedrela.core.errors import InvalidInput
from fedrela.core.secure.member import Member, Secrets
from fedrela.core.secure.messages import Agreements, Inbox, Roster, SecureKeys, Survivors
from fedrela.core.secure.roster import Terms
from fedrela.edge.storage.store import Store

KEY = "assignment/secure"


@dataclass(frozen=True)
class _Secrets:
    """`Secrets` in hexadecimal."""

    mask_key: str
    seal_key: str
    own_seed: str
    polynomials: str


@dataclass(frozen=True)
class _Session:
    """`Member`, as it is stored."""

    terms: Terms
    secrets: _Secrets
    keys: SecureKeys
    roster: Roster | None = None
    inbox: Inbox | None = None
    words_sha256: str = ""
    survivors: Survivors | None = None
    agreements: Agreements | None = None


def save(store: Store, member: Member) -> None:
    """Keep where a device stands."""
    values = {field.name: getattr(member, field.name) for field in fields(Member)}
    secrets = _Secrets(**{name: secret.hex() for name, secret in vars(member.secrets).items()})
    store.put(KEY, strict.to_json(_Session(**(values | {"secrets": secrets}))))


def load(store: Store) -> Member | None:
    """Where the device stood; None where there is no session, or its record is damaged: it can't be gone on with."""
    body = store.get(KEY)
    try:
        session = strict.from_json(_Session, body, InvalidInput) if body is not None else None
        if session is None:
            return None
        secrets = Secrets(**{name: bytes.fromhex(secret) for name, secret in vars(session.secrets).items()})
    except (InvalidInput, ValueError):
        forget(store)
        return None
    return Member(**(vars(session) | {"secrets": secrets}))


def forget(store: Store) -> None:
    """Delete the session and its secrets."""
    store.delete(KEY)
