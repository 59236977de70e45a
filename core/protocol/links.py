"""Enrollment links: the one thing that an owner is given over a safe channel, and what a device trusts because of it.

    https://fl.example.org/join#TOKEN.COORDINATOR[.PUBLISHER...][.FLEET]

TOKEN lets a device in. COORDINATOR is the fingerprint of the key that signs assignments, each PUBLISHER that of a key
that may sign programs: see `fedrela.core.signing.fingerprint`. FLEET makes the device one of a fleet whose key the
coordinator doesn't have: see `fedrela.core.secure.fleet`. All of it follows the `#`, so no server's log has it.

    >>> link = parse("https://fl.example.org/join#abc." + "0" * 32)
    >>> link.url, link.token, link.publishers
    ('https://fl.example.org', 'abc', ())
"""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from fedrela.core.errors import InvalidMessage

FINGERPRINT = "[0-9a-f]{32}"
MOST_PUBLISHERS = 16
# The fleet's key, the token's private key, the fleet's signature over the token's key, and the population.
FLEET = r"fleet-([0-9a-f]{64})-([0-9a-f]{64})-([0-9a-f]{128})-([A-Za-z0-9._-]{1,100})"
_PINNED = rf"[!-\-/-~]{{1,512}}\.{FINGERPRINT}(?:\.{FINGERPRINT}){{0,{MOST_PUBLISHERS}}}"
_FRAGMENT = re.compile(rf"({_PINNED})(?:\.({FLEET}))?")
_TOKEN_ALONE = re.compile(r"[!-\-/-~]{1,512}")
_ORIGIN = re.compile(r"https?://[A-Za-z0-9._~%:\[\]-]{1,300}")
_JOIN = "/join"


@dataclass(frozen=True)
class Link:
    """Where to enroll (`url` has no trailing `/join`), with which token, and whose signatures to believe.

    `fleet`: the part of that name as it stands in the link, empty where there is none.
    """

    url: str
    token: str
    coordinator: str
    publishers: tuple[str, ...] = ()
    fleet: str = ""

    def text(self) -> str:
        """The link as an owner gets it."""
        return f"{self.url}{_JOIN}#{fragment(self.token, self.coordinator, self.publishers, self.fleet)}"


def fragment(token: str, coordinator: str, publishers: tuple[str, ...], fleet: str = "") -> str:
    """What follows the `#` of a link."""
    return ".".join((token, coordinator, *publishers, *([fleet] if fleet else [])))


def parse(link: str) -> Link:
    """Read a link. Raises InvalidMessage for anything else, and for a link that names no coordinator's key."""
    parts = _split(link.strip())
    if parts is None or not parts.path.endswith(_JOIN) or parts.username or parts.query:
        raise _malformed()
    url = f"{parts.scheme}://{parts.netloc}{parts.path.removesuffix(_JOIN)}"
    if _TOKEN_ALONE.fullmatch(parts.fragment):
        raise InvalidMessage(
            "the link doesn't say which key the coordinator has",
            remedy="ask the operator for a new one (`fedrela token create`), and paste the whole of it",
        )
    fitting = _FRAGMENT.fullmatch(parts.fragment)
    if fitting is None:
        raise _malformed()
    token, coordinator, *publishers = fitting[1].split(".")
    return Link(url, token, coordinator, tuple(publishers), fitting[2] or "")


def is_origin(url: str) -> bool:
    """Whether `url` is a scheme, a host and perhaps a port, and nothing else: what the links of a coordinator begin by.

    >>> is_origin("https://fl.example.org:8443"), is_origin("https://[["), is_origin("https://fl.example.org/x")
    (True, False, False)
    """
    parts = _split(url)
    return parts is not None and _ORIGIN.fullmatch(url) is not None


def is_private(url: str) -> bool:
    """Whether nobody on the way can read or change what goes to `url`: it is https, or this very machine."""
    parts = _split(url)
    return parts is not None and (parts.scheme == "https" or is_local(url))


def is_for_phones(url: str) -> bool:
    """Whether a phone's browser can be a device of the coordinator at `url`: browsers lend their keys to https alone.

    >>> is_for_phones("https://fl.example.org"), is_for_phones("http://10.0.0.5"), is_for_phones("https://localhost")
    (True, False, False)
    """
    parts = _split(url)
    return parts is not None and parts.scheme == "https" and not is_local(url)


def is_local(url: str) -> bool:
    """Whether `url` names the very machine that asks, so that no other one reaches it by that name.

    >>> is_local("http://127.0.0.1:8000"), is_local("http://[::1]"), is_local("https://fl.example.org")
    (True, True, False)
    """
    parts = _split(url)
    host = (parts.hostname if parts else None) or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _split(url: str) -> SplitResult | None:
    """The parts of a URL of the web, of which host and port can be read; None for any other text."""
    try:
        parts = urlsplit(url)
        readable = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        return None
    return parts if readable else None


def _malformed() -> InvalidMessage:
    return InvalidMessage(
        "that is not an enrollment link", remedy="paste the whole link, https://host/join#token.key, in quotes"
    )
