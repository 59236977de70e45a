"""Which store of blobs a URL names: a folder or an S3-compatible bucket."""

from pathlib import Path
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from fedrela.coordinator.storage.blobs import Blobs, FolderBlobs
from fedrela.coordinator.storage.object_blobs import ObjectBlobs
from fedrela.core.errors import InvalidInput

_REMEDY = "use file:///folder or s3://bucket/prefix?endpoint=... as FEDRELA_BLOBS_URL, with [ and ] as %5B and %5D"


def connect(url: str) -> Blobs:
    """The store that a URL names: file:///folder or s3://bucket/prefix?endpoint=https://...&region=...

    Raises InvalidInput where it names neither, and MissingDependency where the S3 client is not installed.
    """
    parts = split(url)
    if parts.scheme == "file" and parts.path:
        return FolderBlobs(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc:
        for endpoint in parse_qs(parts.query).get("endpoint", ()):
            split(endpoint)
        return ObjectBlobs(url)
    raise InvalidInput(f"the blob store URL has the scheme {parts.scheme!r}", remedy=_REMEDY)


def split(url: str) -> SplitResult:
    """The parts of a blob store's URL. Raises InvalidInput where it has none."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # raises for one that is no number
    except ValueError:  # whose words may repeat a password
        raise InvalidInput("the blob store URL can't be read", remedy=_REMEDY) from None
    return parts
