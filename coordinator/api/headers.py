"""The headers that every answer carries: a browser guesses no type, frames nothing, and stays with TLS.

A page of ours has a policy of its own, which is stricter; what is no page may load nothing at all.

    >>> [name.decode() for name, _ in missing([(b"content-security-policy", b"x")], "https")]
    ['x-content-type-options', 'strict-transport-security']
"""

from collections.abc import Iterable

from starlette.types import Message, Scope

_NO_PAGE = b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_ALWAYS = ((b"x-content-type-options", b"nosniff"), (b"content-security-policy", _NO_PAGE))
_UNDER_TLS = (*_ALWAYS, (b"strict-transport-security", b"max-age=31536000"))
Header = tuple[bytes, bytes]


def missing(headers: Iterable[Header], scheme: str) -> list[Header]:
    """What `headers` lack. `scheme` is the client's: behind a trusted proxy, what the proxy says."""
    present = {name.lower() for name, _ in headers}
    return [header for header in (_UNDER_TLS if scheme == "https" else _ALWAYS) if header[0] not in present]


def complete(scope: Scope, message: Message) -> None:
    """Add what is missing to the message that starts an answer."""
    headers = list(message.get("headers") or ())
    message["headers"] = [*headers, *missing(headers, str(scope.get("scheme", "http")))]
