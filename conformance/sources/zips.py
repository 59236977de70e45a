"""Zips, written and read byte by byte (APPNOTE 6.3), without Python's zipfile: the fuzz's own opinion of them.

>>> read(write([Member(b"cat/1.png", b"a body", packed=True)]))
{b'cat/1.png': b'a body'}
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

_LOCAL, _CENTRAL, _END = b"PK\3\4", b"PK\1\2", b"PK\5\6"
_STORED, _DEFLATED = 0, 8
_ENCRYPTED, _PATCHED, _STRONG, _UTF_8 = 0x1, 0x20, 0x40, 0x800
_IN_64_BITS = 0xFFFFFFFF


class Damaged(Exception):
    """An independent reader finds no samples in it."""


class Unknown(Exception):
    """An independent reader has no opinion of it."""


@dataclass(frozen=True)
class Member:
    """A file in a zip: its name as the bytes that stand there, its content, how it is kept."""

    name: bytes
    body: bytes
    packed: bool = False
    utf_8: bool = True


def write(members: Sequence[Member]) -> bytes:
    """A zip of these members."""
    bodies, directory = b"", b""
    for member in members:
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        data = packer.compress(member.body) + packer.flush() if member.packed else member.body
        sizes = (zlib.crc32(member.body), len(data), len(member.body))
        method = _DEFLATED if member.packed else _STORED
        shared = (20, _UTF_8 if member.utf_8 else 0, method, 0, 33, *sizes, len(member.name), 0)
        directory += _CENTRAL + struct.pack("<HHHHHHIIIHHHHHII", 20, *shared, 0, 0, 0, 0, len(bodies)) + member.name
        bodies += _LOCAL + struct.pack("<HHHHHIIIHH", *shared) + member.name + data
    end = struct.pack("<HHHHIIH", 0, 0, len(members), len(members), len(directory), len(bodies), 0)
    return bodies + directory + _END + end


def read(body: bytes) -> dict[bytes, bytes | Damaged]:
    """Name -> content, or what is damaged of it. Raises Damaged, and Unknown for names that come twice and the like."""
    end = body.rfind(_END)
    if end < 0 or len(body) < end + 22:
        raise Damaged("it has no end")
    *_, size, start, comment = struct.unpack_from("<HHHHIIH", body, end + 4)
    if _IN_64_BITS in (size, start) or body[end - 20 : end - 16] == b"PK\6\7" or end + 22 + comment != len(body):
        raise Unknown("64 bits, or an end within something else")
    before = end - size - start  # what was put before the zip
    if before < 0:
        raise Damaged("its directory begins before it does")
    at = start + before
    files: dict[bytes, bytes | Damaged] = {}
    while at < end:
        if body[at : at + 4] != _CENTRAL or end < at + 46:
            raise Damaged("its directory is cut short")
        fields = struct.unpack_from("<HHHHHHIIIHHHHHII", body, at + 4)
        name_length, extra, note = fields[9:12]
        name = body[at + 46 : at + 46 + name_length]
        if name in files or extra or b"\0" in name:
            raise Unknown("a name that comes twice, or more than zips must have")
        try:
            files[name] = _content(body, name, fields, before)
        except Damaged as damage:
            files[name] = damage
        at += 46 + name_length + extra + note
    if at != end:
        raise Unknown("its directory has another size than it says")
    return files


def _content(body: bytes, name: bytes, fields: tuple[int, ...], before: int) -> bytes:
    _, needed, flags, method, _, _, crc, packed, size = fields[:9]
    at = fields[15] + before
    if needed > 63 or flags & (_ENCRYPTED | _PATCHED | _STRONG) or method not in (_STORED, _DEFLATED):
        raise Unknown("encrypted, or packed in another way")
    if body[at : at + 4] != _LOCAL or len(body) < at + 30:
        raise Damaged(f"{name!r} does not begin where it should")
    name_length, extra = struct.unpack_from("<HH", body, at + 26)
    if body[at + 30 : at + 30 + name_length] != name:
        raise Damaged(f"{name!r} has two names")
    start = at + 30 + name_length + extra
    data = body[start : start + packed]
    try:
        content = data if method == _STORED else zlib.decompressobj(-15).decompress(data)
    except zlib.error as error:
        raise Damaged(str(error)) from error
    content = content[:size]
    if zlib.crc32(content) != crc:  # sizes that are too large are no fault of the content
        raise Damaged(f"{name!r} is not what it should be")
    return content
