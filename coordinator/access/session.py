"""The operator's login: the admin key once, then a cookie that says until when.

The cookie is `<expiry>.<random id>.<HMAC-SHA256 under the admin key>`: another key ends every session, and the key
itself is in no page. Logging out stores the id until it expires, so that a copy of the cookie is worth nothing either.
The cookie is HttpOnly and SameSite=Strict; a form from another site is refused by its Origin as well.

>>> valid(issue("k" * 32, now=0.0), "k" * 32, now=1.0), valid(issue("k" * 32, now=0.0), "x" * 32, now=1.0)
(True, False)
"""

import hashlib
import hmac
import secrets
from urllib.parse import urlsplit

import sqlalchemy as sa

from fedrela.coordinator.storage import schema
from fedrela.coordinator.storage.store import Database
from fedrela.core.errors import Refused

COOKIE = "fedrela_operator"
SECONDS = 12 * 3600


def issue(admin_key: str, now: float) -> str:
    """A session that begins now."""
    session = f"{int(now) + SECONDS}.{secrets.token_hex(16)}"
    return f"{session}.{_mac(admin_key, session)}"


def valid(cookie: str, admin_key: str, now: float) -> bool:
    """Whether a cookie was issued under this key and has not expired; `has_ended` says whether it was logged out."""
    session, _, mac = cookie.rpartition(".")
    expiry = session.partition(".")[0]
    if not (expiry.isascii() and expiry.isdigit() and len(expiry) <= 12):
        return False
    return hmac.compare_digest(mac.encode(), _mac(admin_key, session).encode()) and now < int(expiry)


def end(database: Database, cookie: str, now: float) -> None:
    """Log out: a valid cookie is worth nothing from now on. Ending it twice is no fault."""
    table, (expiry, session_id, _) = schema.ended_sessions, cookie.split(".")
    with database.write() as tx:
        tx.execute(sa.delete(table).where(sa.or_(table.c.expires_at <= now, table.c.id == session_id)))
        tx.execute(sa.insert(table).values(id=session_id, expires_at=float(expiry)))


def has_ended(database: Database, cookie: str) -> bool:
    """Whether a valid cookie's session was logged out."""
    table = schema.ended_sessions
    with database.read() as view:
        return view.scalar(sa.select(table.c.id).where(table.c.id == cookie.split(".")[1])) is not None


def check_origin(origin: str | None, host: str | None, public_url: str = "") -> None:
    """Raise Refused (403) for a form that another site sent; `public_url`: what this one is called outside."""
    if origin is None or (public_url and origin == public_url):
        return
    if origin == "null" or (site := _site(origin)) is None or site != host:
        raise Refused(
            f"the form was sent by {origin[:100]}, and this site is {public_url or host}",
            remedy="use the dashboard's own page; if it was, a reverse proxy doesn't pass Host: let it, or start the "
            "coordinator with FEDRELA_PUBLIC_URL set to what the browser shows",
            code="cross-site",
            status=403,
        )


def _site(origin: str) -> str | None:
    """Host and port of an Origin header; None for one that names none, which no page of ours sends."""
    try:
        return urlsplit(origin).netloc or None
    except ValueError:
        return None


def _mac(admin_key: str, session: str) -> str:
    return hmac.digest(admin_key.encode(), f"fedrela/v1/session\n{session}".encode(), hashlib.sha256).hex()
