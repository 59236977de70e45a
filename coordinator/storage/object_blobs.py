"""Blobs in an S3-compatible store, by URL: s3://bucket/prefix?endpoint=http://127.0.0.1:9000&region=us-east-1.

Credentials come from the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, or the machine's role), never from the
URL. A PUT of S3 is atomic and durable when it returns, which is what `Blobs` asks for.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from fedrela.coordinator.storage.blobs import NAME, Stored
from fedrela.core.errors import InvalidInput, MissingDependency, Unavailable

_OPTIONS = {"endpoint", "region"}
_RETRIES = {"max_retries": 3, "retry_timeout": timedelta(seconds=10)}


class ObjectBlobs:
    """One bucket, below one prefix."""

    tile_bytes = 16 * 1024 * 1024  # a request each

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query))
        unknown = sorted(set(options) - _OPTIONS)
        if unknown:
            raise InvalidInput(
                f"the blob store URL has the option {unknown[0]!r}", remedy="use endpoint and region only"
            )
        self._library = _obstore()
        endpoint = options.get("endpoint")
        settings: dict[str, Any] = {"region": options.get("region", "us-east-1")}
        if endpoint:
            settings |= {"endpoint": endpoint, "virtual_hosted_style_request": False}
        self._store = self._library.store.S3Store(
            parts.netloc,
            prefix=parts.path.strip("/") or None,
            client_options={"allow_http": bool(endpoint and endpoint.startswith("http://")), "timeout": "30s"},
            retry_config=_RETRIES,
            **settings,
        )

    def put(self, name: str, body: bytes) -> None:
        """Store; durable on return."""
        try:
            self._call(name, lambda: self._library.put(self._store, name, body))
        except KeyError as error:
            raise Unavailable(
                "the blob store's bucket does not exist", remedy="create it, or correct FEDRELA_BLOBS_URL"
            ) from error

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        """`length` bytes from `start`, or up to the end."""
        if start == 0 and length is None:
            return bytes(self._call(name, lambda: self._library.get(self._store, name).bytes()))
        end = self.size(name) if length is None else start + length
        return bytes(self._call(name, lambda: self._library.get_range(self._store, name, start=start, end=end)))

    def size(self, name: str) -> int:
        """Bytes."""
        return int(self._call(name, lambda: self._library.head(self._store, name))["size"])

    def delete(self, name: str) -> None:
        """Remove a blob; a missing one is no fault."""
        try:
            self._call(name, lambda: self._library.delete(self._store, name))
        except KeyError:
            return

    def listing(self) -> Iterator[Stored]:
        """Every object below the prefix."""
        for area in ("public", "private"):
            pages = iter(self._call(f"{area}/x", lambda area=area: self._library.list(self._store, area)))
            while page := self._call(f"{area}/x", lambda pages=pages: next(pages, None)):
                for entry in page:
                    yield Stored(entry["path"], entry["size"], entry["last_modified"].timestamp())

    def _call(self, name: str, operation: Any) -> Any:
        if not NAME.fullmatch(name):
            raise KeyError(name)
        try:
            return operation()
        except FileNotFoundError as error:
            raise KeyError(name) from error
        except self._library.exceptions.BaseError as error:
            raise Unavailable(
                f"the blob store can't do this now ({str(error).splitlines()[0][:150]})",
                remedy="check that the bucket exists, the credentials are right and the store answers, then try again",
            ) from error


def _obstore() -> Any:
    try:
        import obstore
        import obstore.exceptions
        import obstore.store
    except ImportError as error:
        raise MissingDependency(
            "an S3 blob store needs the package obstore", remedy="run: pip install 'fedrela[s3]'"
        ) from error
    return obstore
