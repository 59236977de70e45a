"""A JPEG's segments before its pixels, and the file without those that only describe them.

While it opens a file Pillow reads EXIF, and directories of further pictures, and raises nearly anything for odd ones.
Browsers don't. So the pixels are decoded from what they need alone, as the page does it
(`web/src/pictures/containers.ts`).

>>> bare(b"\\xff\\xd8" + b"\\xff\\xe1\\0\\x0cExif\\0\\0II*\\0" + b"\\xff\\xdaand so on")
(b'\\xff\\xd8\\xff\\xdaand so on', b'Exif\\x00\\x00II*\\x00')
"""

from collections.abc import Iterator

EXIF = b"Exif\0\0"
START = b"\xff\xd8"
_SCAN, _FILL, _COMMENT = 0xDA, 0xFF, 0xFE
_APPLICATIONS = range(0xE0, 0xF0)
_EXIF_APPLICATION = 0xE1
_COLOR_FORMS = (0xE0, 0xEE)  # JFIF and Adobe: they tell whether it is YCbCr


def is_jpeg(body: bytes) -> bool:
    """Whether a file begins as a JPEG."""
    return body.startswith(START)


def segments(body: bytes) -> Iterator[int]:
    """Where the segments before the first scan begin; a byte that only fills up counts too."""
    at = len(START)
    while at + 4 <= len(body) and body[at + 1] != _SCAN:
        yield at
        at = segment_end(body, at)


def bare(body: bytes) -> tuple[bytes, bytes]:
    """The JPEG without profiles, comments and the like, and its first EXIF block; empty where it has none."""
    whole, pieces, start, exif = memoryview(body), [], 0, b""
    for at in segments(body):
        if _fills_up(body, at):
            continue
        marker, end = body[at + 1], segment_end(body, at)
        if marker == _EXIF_APPLICATION and not exif and body[at + 4 : at + 4 + len(EXIF)] == EXIF:
            exif = body[at + 4 : end]
        if marker == _COMMENT or (marker in _APPLICATIONS and marker not in _COLOR_FORMS):
            pieces.append(whole[start:at])
            start = end
    return b"".join((*pieces, whole[start:])) if pieces else body, exif


def _fills_up(body: bytes, at: int) -> bool:
    return body[at] != _FILL or body[at + 1] == _FILL


def segment_end(body: bytes, at: int) -> int:
    """Where the segment at `at` ends, as it says itself; a byte that only fills up is one byte long."""
    return at + 1 if _fills_up(body, at) else at + 2 + int.from_bytes(body[at + 2 : at + 4])
