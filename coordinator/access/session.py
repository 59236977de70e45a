"""The operator's login: the admin key once, then a cookie that says until when.

The cookie is `<expiry>.<HMAC-SHA256 under the admin key>`: nothing is stored, another key ends every session, and the
key itself is in no page. It is HttpOnly and SameSite=Strict; a form from another site is refused by its Origin as well.

>>> valid(issue("k" * 32, now=0.0), "k" * 32, now=1.0), valid(issue("k" * 32, now=0.0), "x" * 32, now=1.0)
(True, False)
"""

import hashlib
import hmac
from urllib.parse import urlsplit

from fedrela.core.errors import Refused

COOKIE = "fedrela_operator"
SECONDS = 12 * 3600


def issue(admin_key: str, now: float) -> str:
    """A session that begins now."""
    expiry = str(int(now) + SECONDS)
    return f"{expiry}.{_mac(admin_key, expiry)}"


def valid(cookie: str, admin_key: str, now: float) -> bool:
    """Whether a cookie was issued under this key and has not expired."""
    expiry, _, mac = cookie.partition(".")
    if not (expiry.isascii() and expiry.isdigit() and len(expiry) <= 12):
        return False
    return hmac.compare_digest(mac.encode(), _mac(admin_key, expiry).encode()) and now < int(expiry)


def check_origin(origin: str | None, host: str | None) -> None:
    """Raise Refused (403) for a form that another site sent."""
    if origin is not None and (origin == "null" or urlsplit(origin).netloc != host):
        raise Refused(
            "the form was sent by another site", remedy="use the dashboard's own page", code="cross-site", status=403
        )


def _mac(admin_key: str, expiry: str) -> str:
    return hmac.digest(admin_key.encode(), f"fedrela/v1/session\n{expiry}".encode(), hashlib.sha256).hex()
