"""Updates, as a coordinator reads them, and bundles, as a publisher's folder holds them: files with a few changes.

An update's body is preceded by a byte that says in which encoding the task wants it; a bundle is one of its files,
after the name and a byte 1 where the seal is made anew, so that what lies behind the hashes is looked at.

>>> from random import Random
>>> update_mutant(Random(3)) == update_mutant(Random(3))
True
"""

import shutil
import tempfile
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import get_args

import numpy as np

from fedrela.conformance.differential import literals, tensor_mutants
from fedrela.conformance.files import VECTORS
from fedrela.core import bundle, encodings, signing, streams, strict, tensors
from fedrela.core.protocol import json_text
from fedrela.core.tensors import TensorSpec
from fedrela.core.wire import Encoding, UpdateMetadata

ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)
SPECS = (TensorSpec("w", (2, 3)), TensorSpec("b", (3,)), TensorSpec("scalar", ()), TensorSpec("mean", (3,)))
STATISTICS = frozenset({"mean"})
_GOLDEN = VECTORS / "golden"
_FILES = ("seal.json", "manifest.json", "weights.safetensors", "golden.safetensors")


@lru_cache(maxsize=1)
def good_updates() -> tuple[bytes, ...]:
    """One in every encoding."""
    zeros = tensors.zeros(SPECS)
    change = {name: np.linspace(-1, 1, z.size, dtype=np.float32).reshape(z.shape) for name, z in zeros.items()}
    stream = streams.derive(b"fuzz", "update")
    return tuple(
        encodings.encode(
            change, UpdateMetadata(12, encoding), stream=stream, statistics=STATISTICS, top_k_fraction=0.5
        )[0]
        for encoding in ENCODINGS
    )


def update_mutant(draw: Random) -> tuple[bytes, tuple[str, ...]]:
    """An update with the number of its encoding before it, and what was done to it."""
    number = draw.randrange(len(ENCODINGS))
    body, changes = tensor_mutants.mutant(draw, (good_updates()[number],))
    if draw.random() < 0.2:  # values: infinite, not a number, out of range, out of order
        at = len(body) - draw.randrange(1, min(40, len(body)) + 1)
        body = (
            body[:at] + draw.choice((b"\xff\xff\xff\x7f", b"\0\0\x80\x7f", b"\0\0\0\x80", b"\xff" * 4)) + body[at + 4 :]
        )
        changes = (*changes, "values")
    other = draw.randrange(len(ENCODINGS)) if draw.random() < 0.05 else number
    return bytes([other]) + body, changes


def read_update(body: bytes) -> object:
    """As the coordinator reads one. Raises InvalidTensors or InvalidMessage."""
    encoding = ENCODINGS[body[0]]
    change, metadata = encodings.decode(body[1:], SPECS, encoding, STATISTICS)
    encodings.decode_again(body[1:], SPECS, encoding, STATISTICS)
    return change, metadata


def bundle_mutant(draw: Random) -> tuple[bytes, tuple[str, ...]]:
    """A changed file of a good bundle, and what was done to it."""
    name = draw.choice(_FILES)
    body = (_GOLDEN / name).read_bytes()
    changes: tuple[str, ...] = ()
    for _ in range(draw.choice((0, 1, 1, 2))):
        body, changes = literals.damaged(body, draw), (*changes, "damaged")
    return f"{name}\n".encode() + bytes([draw.random() < 0.7]) + body, (name, *changes)


def read_bundle(case: bytes) -> object:
    """As a publisher's tool reads one. Raises InvalidBundle, IntegrityError or InvalidTensors."""
    name, _, rest = case.partition(b"\n")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "bundle"
        shutil.copytree(_GOLDEN, copy)
        (copy / name.decode()).write_bytes(rest[1:])
        if rest[:1] == b"\1" and name != b"seal.json":
            seal = _resealed(copy, strict.from_json(bundle.Seal, (_GOLDEN / "seal.json").read_bytes()))
            (copy / "seal.json").write_bytes(json_text.encode(seal))
        return bundle.read(copy)


def _resealed(folder: Path, seal: bundle.Seal) -> dict[str, str]:
    names = {"manifest_sha256": "manifest.json", "weights_sha256": "weights.safetensors"}
    hashes = {key: signing.sha256((folder / name).read_bytes()) for key, name in names.items()}
    return {"public_key": seal.public_key, "signature": seal.signature, **hashes}
