"""Independent readers of arrays and tables: none of numpy.load, csv, gzip, or the C unpickler.

Each gives the rows of its data, and raises Damaged where there are none, Unknown where it has no opinion.
"""

import ast
import io
import pickle
import re
import struct
import zlib
from collections.abc import Mapping
from math import isfinite, prod
from typing import Any
from unicodedata import normalize

import numpy as np

from fedrela.conformance.sources import zips
from fedrela.conformance.sources.zips import Damaged, Unknown

Row = tuple[bytes, int]  # a sample's values as float64, and its class
LABELS = ("y", "label", "labels", "class")
_OF_NUMPY = {("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct")}
_CELL = re.compile(r'("(?:[^"]|"")*"|[^",\r\n][^,\r\n]*|)(,|\r\n|\r|\n|\Z)')
_ALLOWED = _OF_NUMPY | {("numpy", "ndarray"), ("numpy", "dtype")}


def rows(x: Any, y: Any) -> list[Row]:
    """Rows of values and whole labels."""
    if len(x) != len(y):
        raise Damaged("labels and samples differ in number")
    labels = [int(label) for label in y]
    if any(label != exact for label, exact in zip(labels, y, strict=True)):
        raise Damaged("a label is no whole number")
    return [(np.asarray(row, np.float64).tobytes(), label) for row, label in zip(x, labels, strict=True)]


def npz(body: bytes) -> list[Row]:
    """The arrays x and y of a .npz file."""
    arrays = {}
    for name, data in zips.read(body).items():
        if isinstance(data, Damaged):
            raise data
        arrays[name.decode("utf-8", "replace").removesuffix(".npy")] = data
    if any(not data.startswith(b"\x93NUMPY") for data in arrays.values()) or "/" in "".join(arrays):
        raise Unknown("other files beside the arrays")
    label = next((name for name in LABELS if name in arrays), None)
    if label is None:
        raise Damaged("no labels")
    y = _npy(arrays.pop(label))
    x = _npy(arrays["x"] if len(arrays) != 1 and "x" in arrays else next(iter(arrays.values()), b""))
    if y.dtype.kind not in "iuf" or y.ndim != 1 or x.dtype.kind not in "iuf" or not x.ndim:
        raise Unknown("arrays of another kind")
    if not np.isfinite(y.astype(np.float64)).all():
        raise Damaged("a label is not finite")
    return rows(x, y)


def _npy(body: bytes) -> Any:
    version = body[6:8]
    if body[:6] != b"\x93NUMPY" or version not in (b"\1\0", b"\2\0", b"\3\0") or len(body) < 12:
        raise Damaged("no npy file")
    form, start = ("<H", 10) if version == b"\1\0" else ("<I", 12)
    (length,) = struct.unpack_from(form, body, 8)
    try:
        header = ast.literal_eval(body[start : start + length].decode("latin1").strip(" "))
        kind, order, shape = header["descr"], header["fortran_order"], header["shape"]
        if not re.fullmatch(r"[<>|=]?[biuf][1248]", kind) or not all(type(size) is int for size in shape):
            raise Unknown("another dtype")
        values = np.frombuffer(body, np.dtype(kind), prod(shape), start + length)
    except Unknown:
        raise
    except Exception as error:
        raise Damaged(str(error)) from error
    return values.reshape(shape, order="F" if order else "C")


def csv(body: bytes, names: tuple[str, ...], columns: int) -> list[Row]:
    """A table with a header: numbers in every column but `label`, in the order of the header."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Damaged(str(error)) from error
    table = [row for row in _cells(text) if row]
    if len(table) < 2:
        raise Damaged("no rows")
    header = [name.strip() for name in table[0]]
    label = next((name for name in LABELS if name in header), None)
    if label is None or len(set(header)) != len(header) or len(header) != columns + 1:
        raise Unknown("an odd header")
    place, samples, labels = header.index(label), [], []
    for row in table[1:]:
        if len(row) != len(header):
            raise Damaged("a row of another length")
        labels.append(_class(row.pop(place).strip(), names))
        samples.append([np.float32(_finite(cell)) for cell in row])
    return rows(samples, labels)


def _finite(cell: str) -> float:
    try:
        value = float(cell)
    except ValueError as error:
        raise Damaged(cell) from error
    if not isfinite(value):
        raise Damaged(cell)
    return value


def _class(name: str, names: tuple[str, ...]) -> int:
    name, names = normalize("NFC", name), tuple(normalize("NFC", known) for known in names)
    if name in names:
        return names.index(name)
    if re.fullmatch(r"\d{1,18}(\.0*)?", name) and int(name.split(".", maxsplit=1)[0]) < len(names):
        return int(name.split(".", maxsplit=1)[0])
    raise Damaged(f"no class {name}")


def _cells(text: str) -> list[list[str]]:
    """RFC 4180; a quote within a cell that doesn't begin with one is a letter as any other."""
    table: list[list[str]] = []
    row: list[str] = []
    at = 0
    while at < len(text) or row:
        match = _CELL.match(text, at)
        if match is None:
            raise Damaged("an odd quote")
        cell, separator = match.groups()
        row.append(cell[1:-1].replace('""', '"') if cell.startswith('"') else cell)
        at = match.end()
        if separator != ",":
            table.append([] if row == [""] and not cell else row)
            row = []
    return table


def idx(files: Mapping[str, bytes]) -> list[Row]:
    """Images and labels of unsigned bytes, packed by gzip or not."""
    images, labels = (
        next(body if not name.endswith(".gz") else _gunzipped(body) for name, body in files.items() if kind in name)
        for kind in ("images", "labels")
    )
    if images[:4] != b"\0\0\x08\3" or labels[:4] != b"\0\0\x08\1" or len(images) < 16 or len(labels) < 8:
        raise Damaged("no IDX file")
    (count, *size), (named,) = struct.unpack_from(">III", images, 4), struct.unpack_from(">I", labels, 4)
    if len(images) != 16 + count * prod(size) or len(labels) != 8 + named:
        raise Damaged("cut short, or too long")
    pixels = np.frombuffer(images, np.uint8, offset=16).reshape(count, *size)
    return rows(pixels, labels[8:])


def _gunzipped(body: bytes) -> bytes:
    out, rest = b"", body
    while rest.strip(b"\0") or not out:
        if len(rest) > 3 and rest[3] & 0xE0:
            raise Unknown("flags that the format keeps for later: some decoders pass over them")
        unpacker = zlib.decompressobj(31)
        try:
            out += unpacker.decompress(rest)
        except zlib.error as error:
            raise Damaged(str(error)) from error
        if not unpacker.eof:
            raise Damaged("cut short")
        rest = unpacker.unused_data
    return out


class _PlainUnpickler(pickle._Unpickler):  # the one that is written in Python
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):
            return lambda text, encoding="latin1": text.encode("latin1")
        if (module, name) not in _ALLOWED:
            raise Damaged(f"it asks for {module}.{name}")
        return super().find_class(module, name)


def cifar(body: bytes) -> list[Row]:
    """A batch, by the unpickler that is written in Python."""
    try:
        batch = _PlainUnpickler(io.BytesIO(body), encoding="bytes").load()
        x, y = batch[b"data"], batch[b"fine_labels"] if b"fine_labels" in batch else batch[b"labels"]
        return rows(np.asarray(x).reshape(len(x), 3072), np.asarray(y).tolist())
    except Exception as error:
        raise Damaged(f"{type(error).__name__}: {error}") from error
