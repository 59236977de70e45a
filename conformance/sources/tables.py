"""Files of arrays and tables: npz, CSV, IDX, CIFAR batches; good ones, with a few things changed."""

import gzip
import io
import pickle
import struct
from collections.abc import Callable
from random import Random

import numpy as np

from fedrela.conformance.differential import literals
from fedrela.conformance.sources import zips
from fedrela.conformance.sources.trees import CLASSES, SIDE
from fedrela.conformance.sources.zips import Member

COLUMNS = ("age", "height")
Files = tuple[dict[str, bytes], tuple[str, ...]]  # by name; and what was done to them
_X_KINDS = ("u1",) * 9 + ("<i8", ">i8", "<f4", ">f4", "<f8", "i1", "?")
_Y_KINDS = ("<i8",) * 6 + (">i8", "<i4", ">i4", "u1", "<u8", "<f8", "<f4", "?", "U1")
_HEAD = 200  # bytes of a pickle in which all that isn't pixels lies; as many at its end
_CELLS = (
    *("", " ", "nan", "inf", "1e400", "-0", "1_0", "٣", "0x10", "1,5", '"2"', '"2', "'3'", "3.0", "-1", "07", "12"),
    *("cat", " dog ", "CAT", "Vögel", "Vo\u0308gel", '"cat"', "é\n", "\r", "\0", "\ufeff", "9" * 400, '""'),
)


def npz(draw: Random) -> Files:
    """x and y, of many types, by many names."""
    count = draw.randrange(1, 5)
    rng = np.random.default_rng(draw.randrange(1 << 32))
    x = rng.integers(0, 100, (count, 1, SIDE, SIDE)).astype(draw.choice(_X_KINDS))
    y = rng.integers(0, len(CLASSES), count).astype(draw.choice(_Y_KINDS))
    if draw.random() < 0.1:
        y = draw.choice((y[:, None], y[0], y[:0], y[:-1], (y.astype(np.int64) + draw.choice((-1, 1))).astype(y.dtype)))
    if draw.random() < 0.1:
        x = draw.choice((x[:, 0], x.transpose(0, 1, 3, 2), np.asfortranarray(x), x[:0]))
    arrays = {draw.choice(("x", "x", "images")): x, draw.choice(("y", "y", "y", "label", "labels", "class", "t")): y}
    members = [Member(f"{name}.npy".encode(), npy(array), packed=draw.random() < 0.5) for name, array in arrays.items()]
    if draw.random() < 0.1:
        members.append(Member(b"more.npy", npy(x)))
    if draw.random() < 0.3:
        at = draw.randrange(len(members))
        members[at] = Member(members[at].name, literals.damaged(members[at].body, draw), members[at].packed)
    body, changes = zips.write(members), (f"{x.dtype} {x.shape}", f"{y.dtype} {y.shape}")
    way = draw.random()
    if way < 0.03:
        return {"data.npz": members[0].body}, (*changes, "a renamed npy")
    return (
        ({"data.npz": literals.damaged(body, draw)}, (*changes, "damaged"))
        if way < 0.4
        else ({"data.npz": body}, changes)
    )


def npy(array: object) -> bytes:
    """An array's file."""
    file = io.BytesIO()
    np.save(file, np.asarray(array))
    return file.getvalue()


def csv(draw: Random) -> Files:
    """A header and a few rows."""
    header = [*COLUMNS, draw.choice(("label", "label", "class", "y"))]
    table = [header]
    for _ in range(draw.randrange(1, 5)):
        label = draw.randrange(len(CLASSES))
        numbers = [draw.choice((f"{draw.uniform(-9, 9):.3g}", str(draw.randrange(99)))) for _ in COLUMNS]
        table.append([*numbers, draw.choice((CLASSES[label], str(label)))])
    changes = []
    if draw.random() < 0.5:
        row = draw.randrange(1, len(table))
        cell = draw.choice(_CELLS)
        table[row][draw.randrange(3)] = cell
        changes.append(f"a cell {cell[:9]!r}")
    if draw.random() < 0.1:
        table = [[draw.choice(("", " ", '"%s"')).replace("%s", cell) or cell for cell in row] for row in table]
    text = draw.choice(("\n", "\r\n", "\r")).join(",".join(row) for row in table) + draw.choice(("\n", "", "\n\n"))
    body = draw.choice((b"", b"", b"\xef\xbb\xbf")) + text.encode()
    if draw.random() < 0.1:
        return {"data.csv": text.encode(draw.choice(("utf-16", "latin-1", "utf-32")), "replace")}, (*changes, "encoded")
    if draw.random() < 0.4:
        return {"data.csv": literals.damaged(body, draw)}, (*changes, "damaged")
    return {"data.csv": body}, tuple(changes)


def idx(draw: Random) -> Files:
    """Images and labels, packed or not."""
    count = draw.randrange(1, 5)
    images = struct.pack(">4I", 0x803, count, SIDE, SIDE) + draw.randbytes(count * SIDE * SIDE)
    labels = struct.pack(">2I", 0x801, count) + bytes(draw.randrange(len(CLASSES)) for _ in range(count))
    files = {"train-images-idx3-ubyte": images, "train-labels-idx1-ubyte": labels}
    changes = []
    for _ in range(draw.choice((0, 1, 1, 2))):
        name = draw.choice(list(files))
        files[name] = literals.damaged(files[name], draw)
        changes.append(f"damaged {name[6:12]}")
    if draw.random() < 0.5:
        files = {f"{name}.gz": gzip.compress(body, mtime=0) for name, body in files.items()}
        if draw.random() < 0.6:
            name = draw.choice(list(files))
            files[name] = literals.damaged(files[name], draw)
            changes.append(f"damaged {name}")
    return files, tuple(changes)


def cifar(draw: Random) -> Files:
    """A pickled batch."""
    count = draw.randrange(1, 3)
    labels = [draw.randrange(len(CLASSES)) for _ in range(count)]
    batch = {
        b"data": np.frombuffer(draw.randbytes(count * 3072), np.uint8).reshape(count, 3072),
        draw.choice((b"labels", b"fine_labels")): draw.choice((list, np.array, tuple))(labels),
    }
    body = pickle.dumps(batch, protocol=draw.choice((2, 2, 3, 4, 5)))
    changes: tuple[str, ...] = ()
    for _ in range(draw.choice((0, 1, 1, 2))):
        end = draw.random() < 0.5
        cut = len(body) - _HEAD if end else _HEAD
        head, tail = body[:cut], body[cut:]
        body = head + literals.damaged(tail, draw) if end else literals.damaged(head, draw) + tail
        changes = (*changes, "damaged at its end" if end else "damaged at its head")
    return {"data_batch_1": body}, changes


MAKERS: dict[str, Callable[[Random], Files]] = {"npz": npz, "csv": csv, "idx": idx, "cifar": cifar}
