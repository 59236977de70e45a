"""What a dex file defines: the format is described in Android's documentation as "Dalvik executable format"."""

import struct

MAGIC = b"dex\n"
HEADER_BYTES = 0x70


def version(dex: bytes) -> int:
    """The version of the format, such as 38."""
    assert dex[:4] == MAGIC
    return int(dex[4:7])


def members(dex: bytes) -> dict[str, set[str]]:
    """The classes that a file defines, by their names in Java, each with the names of its methods and fields."""
    (_, strings, _, types, _, _, _, fields, _, method_ids, count, classes) = struct.unpack_from("<12I", dex, 0x38)

    def text(number: int) -> str:
        (at,) = struct.unpack_from("<I", dex, strings + 4 * number)
        _, at = _uleb128(dex, at)
        return dex[at : dex.index(b"\0", at)].decode("utf-8", "replace")

    def type_name(number: int) -> str:
        (descriptor,) = struct.unpack_from("<I", dex, types + 4 * number)
        return text(descriptor).removeprefix("L").removesuffix(";").replace("/", ".")

    def member(table: int, number: int) -> str:
        (name,) = struct.unpack_from("<I", dex, table + 8 * number + 4)
        return text(name)

    found = {}
    for number in range(count):
        (kind,) = struct.unpack_from("<I", dex, classes + 32 * number)
        (data,) = struct.unpack_from("<I", dex, classes + 32 * number + 24)
        found[type_name(kind)] = {
            member(fields if is_field else method_ids, index) for is_field, index in _members(dex, data)
        }
    return found


def _members(dex: bytes, at: int) -> list[tuple[bool, int]]:
    """Whether it is a field, and its number, of each member of a class whose data begins there (0: it has none)."""
    if not at:
        return []
    counts = []
    for _ in range(4):
        count, at = _uleb128(dex, at)
        counts.append(count)
    found = []
    for part, count in enumerate(counts):  # static fields, fields, direct methods, virtual methods
        index = 0
        for _ in range(count):
            step, at = _uleb128(dex, at)
            index += step
            for _ in range(1 if part < 2 else 2):  # flags; and a method's code
                _, at = _uleb128(dex, at)
            found.append((part < 2, index))
    return found


def _uleb128(data: bytes, at: int) -> tuple[int, int]:
    """A number of variable length, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
