"""Bodies of 16 MB that are made to take time and memory: many values, deep values, long texts, many fields.

>>> from random import Random
>>> len(body("Task", Random(0))[0]) > 15_000_000
True
"""

import struct
import zlib
from collections.abc import Callable
from random import Random

from fedrela.conformance import image_files
from fedrela.conformance.files import VECTORS
from fedrela.conformance.protobuf import delimited, number

BYTES = 16_000_000


def body(kind: str, draw: Random) -> tuple[bytes, tuple[str, ...]]:
    """A large body that claims to be of a kind, and what it is made of."""
    if kind == "Program":
        return _program(draw)
    if kind == "Picture":
        return _picture(draw)
    form, text = _text(draw)
    if kind in ("Safetensors", "Update"):
        header = text[: draw.choice((BYTES, 1000, 3_900_000))].encode() if draw.random() < 0.5 else _header(draw)
        written = struct.pack("<Q", len(header)) + header
        whole = written + bytes(max(0, BYTES - len(written)))
        return (bytes([draw.randrange(4)]) if kind == "Update" else b"") + whole, ("large", form)
    if kind == "Bundle":
        name = draw.choice(("seal.json", "manifest.json", "weights.safetensors"))
        return f"{name}\n\1".encode() + text.encode(), ("large", form)
    return text.encode(), ("large", form)


def _text(draw: Random) -> tuple[str, str]:
    """JSON, or what begins like it, of about 16 MB in ASCII."""
    forms: dict[str, Callable[[], str]] = {
        "values": lambda: '{"a":[' + "0," * (BYTES // 2) + "0]}",
        "arrays": lambda: "[" + "[]," * (BYTES // 3) + "[]]",
        "objects": lambda: "[" + "{}," * (BYTES // 3) + "{}]",
        "keys": lambda: "{" + ",".join(f'"{number}":0' for number in range(BYTES // 11)) + "}",
        "deep": lambda: "[" * (BYTES // 2) + "]" * (BYTES // 2),
        "text": lambda: '{"name":"' + "x" * BYTES + '"}',
        "escapes": lambda: '{"name":"' + "\\u00e9" * (BYTES // 6) + '"}',
        "wide": lambda: '{"name":"\U0001f600' + "x" * BYTES + '"}',
        "number": lambda: '{"rounds":' + "1" * BYTES + "}",
        "fraction": lambda: '{"rounds":0.' + "1" * BYTES + "}",
        "spaces": lambda: " " * BYTES + "{}",
    }
    form = draw.choice(list(forms))
    text = forms[form]()
    cut = draw.choice((len(text), len(text), 3_999_999))
    return form, text[:cut]


def _header(draw: Random) -> bytes:
    """A header of many tensors, with or without an element."""
    count = draw.choice((10_000, 40_000, 150_000))
    entries = (f'"{number}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}' for number in range(count))
    return ("{" + ",".join(entries) + "}").encode()


def _program(draw: Random) -> tuple[bytes, tuple[str, ...]]:
    """A good program with millions of small fields, or with one large one."""
    form = draw.choice(("fields", "operators", "graphs", "values", "name", "numbers"))
    unit = {
        "fields": b"\x10\x01",  # a version, again and again
        "operators": delimited(7, delimited(1, delimited(4, b"Add"))),
        "graphs": delimited(7, b""),
        "values": delimited(7, delimited(5, b"\x3a\x01\x01" * 50)),
        "name": delimited(2, b"x" * (BYTES - 10_000)),
        "numbers": b"\x28" + b"\x80" * 9 + b"\x01",
    }[form]
    made = unit * max(1, BYTES // len(unit))
    if form in ("operators", "values"):  # all of them within one graph
        inner = unit[1 + len(number(len(unit))) :] if len(unit) < 0x80 else unit[3:]
        made = delimited(7, inner * (BYTES // len(inner)))
    return (VECTORS / "golden" / "predict.onnx").read_bytes() + made, ("large", form)


def _picture(draw: Random) -> tuple[bytes, tuple[str, ...]]:
    """A small picture with 16 MB of something beside its pixels, or whose pixels are fewer than it says."""
    rows = bytes((0, 1, 2, 0, 3, 4))
    forms: dict[str, Callable[[], bytes]] = {
        "metadata": lambda: image_files.png(2, 2, 8, 0, rows, before=(image_files.chunk(b"eXIf", bytes(BYTES)),)),
        "texts": lambda: image_files.png(2, 2, 8, 0, rows, before=(_packed_text(),) * 200) + bytes(BYTES),
        "chunks": lambda: image_files.png(2, 2, 8, 0, rows, before=(image_files.chunk(b"tEXt", b""),) * (BYTES // 12)),
        "claims": lambda: image_files.png(10_000, 10_000, 8, 0, rows) + bytes(BYTES),
        "tail": lambda: image_files.png(2, 2, 8, 0, rows) + bytes(BYTES),
        "segments": lambda: b"\xff\xd8" + b"\xff\xfe\0\2" * (BYTES // 4) + image_files.jpeg_header(2, 2, 1)[2:],
        "EXIF": lambda: b"\xff\xd8" + b"".join(_exif_segments()) + image_files.jpeg_header(2, 2, 1)[2:],
        "tags": lambda: _tags(BYTES // 4, draw.choice((500, 60_000))),
        "blocks": lambda: b"GIF89a\2\0\2\0\0\0\0" + b"!\xfe\1a\0" * (BYTES // 5),
        "sub-blocks": lambda: b"GIF89a\2\0\2\0\0\0\0!\xfe" + b"\1a" * (BYTES // 2),
        "parts": lambda: b"RIFF" + struct.pack("<I", BYTES) + b"WEBP" + b"XMP \0\0\0\0" * (BYTES // 8),
    }
    form = draw.choice(list(forms))
    return forms[form](), ("large", form)


def _packed_text() -> bytes:
    return image_files.chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(BYTES * 4)))


def _tags(values: int, count: int) -> bytes:
    """A TIFF's directory whose entries all have the same 16 MB as their value."""
    size = [(0x0100, 4, 1, 2), (0x0101, 4, 1, 2)]
    entries = [*size, *((0x8000 + number % 0x7000, 4, values, 8) for number in range(count))]
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<I", 8 + 4 * values) + bytes(4 * values) + directory + bytes(4)


def _exif_segments() -> list[bytes]:
    """EXIF in so many segments as make 16 MB, with a directory as above."""
    whole = _tags(BYTES // 4, 60_000)
    whole = whole[:4] + struct.pack("<I", 8) + whole[8 + BYTES :][: 2 + 12 * 60_000] + bytes(BYTES)
    parts = [b"Exif\0\0" + whole[at : at + 65_000] for at in range(0, len(whole), 65_000)]
    return [b"\xff\xe1" + struct.pack(">H", 2 + len(part)) + part for part in parts]
