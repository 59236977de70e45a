"""Safetensors files with a few things changed: the header's JSON, what it says of the tensors, the bytes around it."""

import json
import marshal
import struct
from collections.abc import Callable
from functools import lru_cache
from random import Random
from typing import Any

from fedrela.conformance.differential import literals
from fedrela.conformance.differential.bodies import tensor_files
from fedrela.conformance.differential.changes import IMPOSSIBLE
from fedrela.conformance.differential.literals import literal

_DTYPES = (
    *("F32", "F16", "I8", "U8", "I32", "I64", "BOOL"),
    *("F64", "BF16", "U16", "U32", "U64", "F8_E4M3", "C64", "f32", "F7", ""),
)
_SIZES: tuple[Any, ...] = (
    *(0, 1, 2, 3, 4, 6, 8, -1, 2**31, 2**32, 2**53 - 1, 2**62, 2**63, 2**64 - 1, 2**64),
    *(1.0, 1.5, "1", True, None, []),
)
_SHAPES: tuple[list[int], ...] = (
    *([], [0], [1], [1] * 40, [2**53, 0]),
    *([1] * 16, [1] * 17, [2**31 - 1, 0], [2**31, 0], [2**20, 2**20, 0], [2**20, 2**20, 2, 0]),
    *([2**32, 2**32], [0, 2**62, 2**62], [2**31, 2**31, 0]),
)
_METADATA: tuple[Any, ...] = (
    *({}, {"a": "b"}, {"": ""}, {"é": "😀"}),
    *(None, {"a": 1}, {"a": None}, {"a": ["b"]}, [], "text", 1),
)
_BEFORE = (b" ", b"\n", b"\0", b"\t", b"")
_BEHIND = (b"\n", b"\0", b"\r\n\t ", b" " * 9, b"x", b"")
_ALIGNMENT = 8


def mutant(draw: Random, files: tuple[bytes, ...] | None = None) -> tuple[bytes, tuple[str, ...]]:
    """One of the good files, changed, and what was done to it."""
    dumped, data = draw.choice(_goods(tensor_files() if files is None else files))
    header = marshal.loads(dumped)
    changes: list[str] = []
    for _ in range(draw.choices((0, 1, 2, 4), (5, 65, 20, 10))[0]):
        change = draw.choice(_CHANGES)
        try:
            header, data = change(header, data, draw)
        except IMPOSSIBLE:
            continue  # an earlier change took away what this one wanted to change
        changes.append(change.__name__.strip("_"))
    text = literals.render(header, ensure_ascii=draw.random() < 0.3, separators=draw.choice(((",", ":"), (", ", ": "))))
    way = draw.random()
    written = literals.encoded(text, draw) if way < 0.03 else text.encode("utf-8", "surrogatepass")
    written = literals.damaged(written, draw) if 0.03 < way < 0.12 else written
    written = _padded(written, draw)
    length = len(written) + (draw.choice((-8, -1, 1, 8, 2**32, 2**63, 10**8)) if 0.12 < way < 0.16 else 0)
    body = struct.pack("<Q", length % 2**64) + written + data
    body = literals.damaged(body, draw) if way > 0.95 else body
    return body, (*changes, *(("bytes",) if way < 0.16 or way > 0.95 else ()))


@lru_cache(maxsize=8)
def _goods(files: tuple[bytes, ...]) -> tuple[tuple[bytes, bytes], ...]:
    """Header and data of every good file."""
    parts = []
    for body in files:
        (length,) = struct.unpack_from("<Q", body)
        parts.append((marshal.dumps(json.loads(body[8 : 8 + length])), body[8 + length :]))
    return tuple(parts)


def _padded(header: bytes, draw: Random) -> bytes:
    way = draw.random()
    if way < 0.7:
        return header + b" " * (-len(header) % _ALIGNMENT)
    if way < 0.9:
        return header
    return draw.choice(_BEFORE) + header + draw.choice(_BEHIND)


def _name(header: Any, draw: Random) -> str:
    names: list[str] = [name for name in header if name != "__metadata__"]
    return draw.choice(names)


def _entry(header: Any, draw: Random) -> Any:
    return header[_name(header, draw)]


def _dtype(header: Any, data: bytes, draw: Random) -> tuple[Any, bytes]:
    _entry(header, draw)["dtype"] = draw.choice(_DTYPES)
    return header, data


def _shape(header: Any, data: bytes, draw: Random) -> tuple[Any, bytes]:
    shape = _entry(header, draw)["shape"]
    way = draw.randrange(4)
    if way == 0:
        shape[draw.randrange(len(shape))] = draw.choice(_SIZES)
    elif way == 1:
        shape.insert(draw.randrange(len(shape) + 1), draw.choice((1, *_SIZES)))
    elif way == 2:
        draw.shuffle(shape)
    else:
        shape[:] = draw.choice(_SHAPES)
    return header, data


def _offsets(header: Any, data: bytes, draw: Random) -> tuple[Any, bytes]:
    offsets = _entry(header, draw)["data_offsets"]
    way = draw.randrange(5)
    if way == 0:
        offsets[draw.randrange(2)] += draw.choice((-8, -4, -1, 1, 4, 8))
    elif way == 1:
        offsets[draw.randrange(2)] = draw.choice(_SIZES)
    elif way == 2:
        offsets.reverse()
    elif way == 3:
        offsets[:] = draw.choice(([], offsets[:1], [*offsets, 0], [0, 0], [offsets[1], offsets[1]]))
    else:
        other = _entry(header, draw)
        other["data_offsets"] = list(offsets)
    return header, data


def _literal(header: Any, data: bytes, draw: Random) -> tuple[Any, bytes]:
    """A number, a text or a depth as no encoder writes it."""
    value = literal(draw.choice((draw.choice(literals.NUMBERS), draw.choice(literals.TEXTS), literals.nested(draw))))
    entry = _entry(header, draw)
    way = draw.randrange(7)
    if way == 0:
        entry["shape"][draw.randrange(len(entry["shape"]))] = value
    elif way == 1:
        entry["data_offsets"][draw.randrange(2)] = value
    elif way == 2:
        entry[draw.choice(("dtype", "shape", "data_offsets", "later"))] = value
    elif way == 3:
        header[draw.choice(("__metadata__", "later", _name(header, draw)))] = value
    elif way == 4:
        header.setdefault("__metadata__", {})["later"] = value
    elif way == 5:
        name = _name(header, draw)
        header[literal(draw.choice(literals.TEXTS))] = header.pop(name)
    else:
        return value, data
    return header, data


def _members(header: Any, data: bytes, draw: Random) -> tuple[Any, bytes]:
    """A member too many, too few, twice, or of another type."""
    entry = _entry(header, draw)
    way = draw.randrange(7)
    if way == 0:
        entry["later"] = draw.choice((1, None, [], {"a": 1.5}))
    elif way == 1:
        del entry[draw.choice(("dtype", "shape", "data_offsets"))]
    elif way == 2:
        name = draw.choice(("dtype", "shape", "data_offsets"))
        entry[literal(f'"{name}"')] = entry[name]
    elif way == 3:
        name = _name(header, draw)
        header[literal(json.dumps(name))] = header[name]
    elif way == 4:
        others: tuple[Any, ...] = (None, 1, [], {}, "text", [entry["dtype"], entry["shape"], entry["data_offsets"]])
        header[_name(header, draw)] = draw.choice(others)
    elif way == 5:
        name = draw.choice(("dtype", "shape", "data_offsets"))
        entry[name] = draw.choice((None, 1, True, "", {}, {"F32": None}, [[]]))
    else:
        return draw.choice(([], {}, None, "text", [header], {"__metadata__": {}}, {"__metadata__": None})), data
    return header, data


def _metadata(header: Any, data: bytes, draw: Random) -> tuple[Any, bytes]:
    value = draw.choice(_METADATA)
    if draw.random() < 0.3:
        return {**header, "__metadata__": value}, data
    if draw.random() < 0.3:
        header[literal('"__metadata__"')] = value
    return {"__metadata__": value, **header}, data


def _order(header: Any, data: bytes, draw: Random) -> tuple[Any, bytes]:
    pairs = list(header.items())
    draw.shuffle(pairs)
    return dict(pairs), data


def _names(header: Any, data: bytes, draw: Random) -> tuple[Any, bytes]:
    name = draw.choice(("", "__proto__", "__metadata__ ", "constructor", "é" * 300, "\u0000", "a/b", "\n"))
    header[name] = header.pop(_name(header, draw))
    return header, data


def _empty(header: Any, data: bytes, draw: Random) -> tuple[Any, bytes]:
    """One more tensor that holds nothing, somewhere."""
    at = draw.choice((0, len(data), len(data) // 2, 4, len(data) + 4))
    shape = draw.choice(([0], [0, 5], [3, 0]))
    header["nothing"] = {"dtype": draw.choice(_DTYPES[:7]), "shape": shape, "data_offsets": [at, at]}
    return header, data


def _data(header: Any, data: bytes, draw: Random) -> tuple[Any, bytes]:
    return header, draw.choice((data[:-1], data + b"\0", b"", data[4:], data * 2, bytes(255 for _ in data)))


_CHANGES: tuple[Callable[[Any, bytes, Random], tuple[Any, bytes]], ...] = (
    *(_dtype, _shape, _shape, _offsets, _offsets, _literal, _literal),
    *(_members, _metadata, _order, _names, _empty, _data),
)
