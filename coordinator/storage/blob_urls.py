"""Which store of blobs a URL names: a folder or an S3-compatible bucket."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from fedrela.coordinator.storage.blobs import Blobs, FolderBlobs
from fedrela.coordinator.storage.object_blobs import ObjectBlobs
from fedrela.core.errors import InvalidInput


def connect(url: str) -> Blobs:
    """The store that a URL names: file:///folder or s3://bucket/prefix?endpoint=https://...&region=...

    Raises InvalidInput where it names neither, and MissingDependency where the S3 client is not installed.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.path:
        return FolderBlobs(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc:
        return ObjectBlobs(url)
    raise InvalidInput(
        f"the blob store URL has the scheme {parts.scheme!r}",
        remedy="use file:///folder or s3://bucket/prefix?endpoint=...",
    )
