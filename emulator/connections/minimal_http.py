"""httpx without what an emulated device never needs: cookies, redirects, proxies, authentication.

The requests and answers are httpx's own, so a device's client sees no difference. Many devices live in one thread, so
what is behind a client can have many requests under way at once: a `Route`.

    http = QuickClient(network)               # what an emulated device's own client is given
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, TypeAlias

import httpx

_parsed = lru_cache(maxsize=64)(httpx.URL)  # most addresses are the same for every device

Answered: TypeAlias = Callable[[httpx.Response | BaseException], None]


class Route(Protocol):
    """A way to a coordinator. Also an `httpx.BaseTransport`, for whoever has nothing else to do meanwhile."""

    def begin(self, request: httpx.Request, answered: Answered) -> None:
        """Send a request. `answered` is called with the whole answer, or the error, while `collect` runs."""
        ...

    def collect(self, *, wait: bool) -> None:
        """Hand over the answers that have come; with `wait`, at least one of the requests under way is answered."""
        ...

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """See `httpx.BaseTransport`."""
        ...


class Way(Protocol):
    """What is behind a client: a `Route`, or an `httpx.BaseTransport`."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """See `httpx.BaseTransport`."""
        ...


@dataclass(frozen=True)
class QuickClient:
    """Hands each request to the way to a coordinator as it is: `fedrela.edge.network.transport.Http`."""

    way: Way

    @contextmanager
    def stream(
        self, method: str, url: str, *, content: bytes | None, headers: dict[str, str]
    ) -> Iterator[httpx.Response]:
        """See `httpx.Client.stream`."""
        request = httpx.Request(method, _parsed(url), content=content, headers=headers)
        response = self.way.handle_request(request)
        response.request = request
        try:
            yield response
        finally:
            response.close()


def answer(status: int, headers: Any, content: bytes) -> httpx.Response:
    """A whole answer, as httpx gives one."""
    return httpx.Response(status, headers=headers, stream=httpx.ByteStream(content))
