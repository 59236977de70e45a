"""httpx without what an emulated device never needs: cookies, redirects, proxies, authentication.

The requests and answers are httpx's own, so a device's client sees no difference. Many devices live in one thread, so
what is behind a client can have many requests under way at once: a `ConcurrentTransport`.

    http = MinimalClient(network)               # what an emulated device's own client is given
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import httpx

_parsed = lru_cache(maxsize=64)(httpx.URL)  # most addresses are the same for every device

Answered: TypeAlias = Callable[[httpx.Response | BaseException], None]


class ConcurrentTransport(httpx.BaseTransport, ABC):
    """Carries many requests at once; `handle_request` is for whoever has nothing else to do meanwhile."""

    @abstractmethod
    def begin(self, request: httpx.Request, answered: Answered) -> None:
        """Send a request. `answered` is called with the whole answer, or the error, while `collect` runs."""

    @abstractmethod
    def collect(self, *, wait: bool) -> None:
        """Hand over the answers that have come; with `wait`, at least one of the requests under way is answered."""


@dataclass(frozen=True)
class MinimalClient:
    """Hands each request to the transport as it is: `fedrela.edge.network.transport.Http`."""

    transport: httpx.BaseTransport

    @contextmanager
    def stream(
        self, method: str, url: str, *, content: bytes | Iterable[bytes] | None, headers: dict[str, str]
    ) -> Iterator[httpx.Response]:
        """See `httpx.Client.stream`."""
        request = httpx.Request(method, _parsed(url), content=content, headers=headers)
        response = self.transport.handle_request(request)
        response.request = request
        try:
            yield response
        finally:
            response.close()


def answer(status: int, headers: Any, content: bytes) -> httpx.Response:
    """A whole answer, as httpx gives one."""
    return httpx.Response(status, headers=headers, stream=httpx.ByteStream(content))
