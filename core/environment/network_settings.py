"""How this machine reaches others: the variables by which every program finds its proxy and whom it trusts.

HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY (in upper or lower case), SSL_CERT_FILE and SSL_CERT_DIR. `proxies` is
what `urllib.request.getproxies()` gives. Nothing is opened here: `reached` is the one place where an HTTP library's
faults with these settings become ours.

    >>> behind = {"https": "proxy.example.org:3128", "no": "localhost, [::1], fe80::/10, .example.net"}
    >>> proxy_of("https://fl.example.org", behind)
    'http://proxy.example.org:3128'
    >>> proxy_of("https://[fe80::7]:8000", behind), proxy_of("https://fl.example.net", behind)
    ('', '')
"""

import ipaddress
import os
from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

from fedrela.core.errors import FedRelaError, InvalidInput, MissingDependency

T = TypeVar("T")

CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
VARIABLES = (
    *(name for proxy in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY") for name in (proxy, proxy.lower())),
    *CERTIFICATES,
)
UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"  # in what an HTTP library says; no waiting mends it
_PORTS = {"http": 80, "https": 443}


def reached(url: str, proxies: Mapping[str, str], environment: Mapping[str, str], open_: Callable[[str], T]) -> T:
    """What `open_(proxy)` makes for requests to `url`; the proxy is empty where there is none.

    Raises InvalidInput for settings that can't be used, naming the variables, and MissingDependency for a proxy that
    needs another package. Values are not repeated: a proxy's may hold a password.
    """
    proxy = proxy_of(url, proxies)
    if url.startswith("https:"):
        _check_certificates(environment)
    try:
        return open_(proxy)
    except FedRelaError:
        raise
    except ImportError as error:
        raise MissingDependency(
            f"this kind of proxy ({_scheme(proxy)}) needs another package",
            remedy="run: pip install 'httpx[socks]'; or name an HTTP proxy, or the coordinator's host in NO_PROXY",
        ) from error
    except Exception as error:  # whatever a library makes of a setting that it doesn't understand
        names = ", ".join(name for name in VARIABLES if environment.get(name)) or "the system's settings"
        raise InvalidInput(
            f"{url} can't be reached with the network settings of this machine ({type(error).__name__})",
            remedy=f"correct them: {names}",
        ) from error


def remedy_for(fault: str, otherwise: str) -> str:
    """What to do where nobody could be reached, by what an HTTP library says of it.

    >>> remedy_for("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate", "try again").partition(";")[0]
    'this machine does not trust its certificate: name the file of the one who signed it in SSL_CERT_FILE'
    """
    if UNTRUSTED not in fault:
        return otherwise
    return (
        "this machine does not trust its certificate: name the file of the one who signed it in SSL_CERT_FILE; if the "
        "certificate is one that all trust, compare the address and this machine's clock"
    )


def proxy_of(url: str, proxies: Mapping[str, str]) -> str:
    """The proxy's URL for requests to `url`; empty where they go directly. Raises InvalidInput if `url` is none."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError as error:
        raise InvalidInput(f"{url!r} is not a URL ({error})", remedy="write it like https://fl.example.org") from error
    proxy = proxies.get(parts.scheme) or proxies.get("all") or ""
    if not proxy or any(_is_direct(entry.strip(), parts, host, port) for entry in proxies.get("no", "").split(",")):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_direct(entry: str, url: SplitResult, host: str, port: int) -> bool:
    """Whether one entry of NO_PROXY means this host: *, a name with all below it, an address, a network, any with a
    port. An entry that can't be understood means nobody.
    """
    scheme, mark, rest = entry.rpartition("://")
    if mark and scheme not in ("all", url.scheme):
        return False
    if rest == "*":
        return True
    name, named_port = _split_port(rest)
    if named_port and named_port != str(port):
        return False
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = name.lower().lstrip("*").strip(".")
        return bool(name) and (host.rstrip(".") == name or host.rstrip(".").endswith("." + name))
    try:
        return address in ipaddress.ip_network(name, strict=False)
    except ValueError:
        return False


def _split_port(entry: str) -> tuple[str, str]:
    """(host or network, port or empty): an IPv6 address has its port behind brackets alone."""
    if entry.startswith("[") and "]" in entry:
        name, _, rest = entry[1:].partition("]")
        return name + (rest if rest.startswith("/") else ""), rest.removeprefix(":") if rest.startswith(":") else ""
    name, colon, port = entry.rpartition(":")
    return (name, port) if colon and ":" not in name else (entry, "")


def _scheme(proxy: str) -> str:
    return proxy.partition("://")[0]


def _check_certificates(environment: Mapping[str, str]) -> None:
    """Raise InvalidInput where a variable names certificates that aren't there: some libraries would ignore it."""
    file, folders = (environment.get(name, "") for name in CERTIFICATES)
    if file and not os.path.isfile(file):
        raise InvalidInput(f"SSL_CERT_FILE names {file}, which is no file", remedy="correct or unset it")
    if folders and not all(map(os.path.isdir, folders.split(os.pathsep))):
        raise InvalidInput(f"SSL_CERT_DIR names {folders}, which is no folder", remedy="correct or unset it")
