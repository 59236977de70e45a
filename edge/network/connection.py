"""httpx as this machine's settings have it: its proxy, its certificates.

api = CoordinatorApi(client("https://fl.example.org"), "https://fl.example.org")
"""

import os
from urllib.request import getproxies

import httpx

from fedrela.core.environment import network_settings

CONNECT_SECONDS, ANSWER_SECONDS = 10.0, 60.0
LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=5.0)  # httpx's own


def client(url: str) -> httpx.Client:
    """For requests to one coordinator. Raises InvalidInput or MissingDependency for settings that can't be used."""
    timeout = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
    return httpx.Client(transport=transport(url), timeout=timeout, trust_env=False)


def transport(url: str, limits: httpx.Limits = LIMITS) -> httpx.HTTPTransport:
    """The way to one coordinator. Raises as `client` does."""
    secure = url.startswith("https:")  # certificates are loaded only where they are needed: that takes long

    def open_(proxy: str) -> httpx.HTTPTransport:
        return httpx.HTTPTransport(verify=secure, proxy=proxy or None, limits=limits)  # it knows SSL_CERT_FILE itself

    return network_settings.reached(url, getproxies(), os.environ, open_)
