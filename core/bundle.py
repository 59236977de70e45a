"""The artifact folder: exported programs, their manifest, start weights, golden outputs and a seal.

    bundle/
      manifest.json         what every program takes and gives, hashes and sizes (see fedrela.core.manifest)
      train_step.onnx ...   one file per program and runtime
      golden.safetensors    expected outputs of the golden steps (see fedrela.core.golden)
      weights.safetensors   checkpoint 0: parameters and buffers
      seal.json             sha256 of manifest.json and of weights.safetensors, and optionally a publisher's signature

So other weights change weights.safetensors and the seal, and nothing else.

    >>> import tempfile, pathlib
    >>> read(pathlib.Path(tempfile.mkdtemp()))
    Traceback (most recent call last):
    ...
    fedrela.core.errors.InvalidBundle: ... has no seal.json; point to a folder that `fedrela export` wrote
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fedrela.core import signing, strict, tensors
from fedrela.core.errors import IntegrityError, InvalidBundle
from fedrela.core.manifest import (
    PROGRAMS,
    SCHEMA_VERSION,
    Golden,
    Manifest,
    Preprocessing,
    parse_manifest,
)
from fedrela.core.protocol.programs import Program, ProgramFile, ProgramInput, Role
from fedrela.core.tensors import Params

__all__ = [
    "PROGRAMS",
    "SCHEMA_VERSION",
    "Bundle",
    "Golden",
    "Manifest",
    "Preprocessing",
    "Program",
    "ProgramFile",
    "ProgramInput",
    "Role",
    "Seal",
    "parse_manifest",
    "read",
    "write",
]


@dataclass(frozen=True)
class Seal:
    """Hashes of the two roots of a bundle. The signature, if any, is over `message()`."""

    manifest_sha256: str
    weights_sha256: str
    public_key: str = ""
    signature: str = ""

    def message(self) -> bytes:
        """The signed bytes."""
        return f"fedrela/v1/bundle\n{self.manifest_sha256}\n{self.weights_sha256}\n".encode()


@dataclass(frozen=True)
class Bundle:
    """A bundle that was read and verified: every hash matches."""

    folder: Path
    manifest: Manifest
    weights: Params
    seal: Seal

    def blobs(self) -> dict[str, bytes]:
        """sha256 -> bytes of every file that a coordinator stores."""
        bodies = [(self.folder / name).read_bytes() for name in ("manifest.json", "weights.safetensors")]
        bodies += [(self.folder / path).read_bytes() for path in self.manifest.files()]
        return {signing.sha256(body): body for body in bodies}


def write(folder: Path, manifest: Manifest, weights: Params, *, private_key: str = "") -> Seal:
    """Write manifest, weights and seal beside the program files that are already in `folder`.

    Raises InvalidBundle or InvalidTensors, and then nothing was written.
    """
    tensors.check(weights, manifest.weights)
    manifest_body = strict.to_json(manifest)
    parse_manifest(manifest_body)  # what no device would take is not written
    weights_body = tensors.to_bytes(weights)
    unsigned = Seal(signing.sha256(manifest_body), signing.sha256(weights_body))
    seal = unsigned
    if private_key:
        signature = signing.sign(private_key, unsigned.message())
        seal = Seal(unsigned.manifest_sha256, unsigned.weights_sha256, signing.public_key(private_key), signature)
    bodies: Mapping[str, bytes] = {
        "manifest.json": manifest_body,
        "weights.safetensors": weights_body,
        "seal.json": strict.to_json(seal),
    }
    for name, body in bodies.items():
        (folder / name).write_bytes(body)
    return seal


def read(folder: Path, *, trusted_key: str = "") -> Bundle:
    """Read and verify a bundle: hashes, names, shapes, and the signature where `trusted_key` asks for one.

    Raises InvalidBundle (missing or malformed file), IntegrityError (a byte changed, or signed by someone else) or
    InvalidTensors (weights that don't fit).
    """
    seal = strict.from_json(Seal, _file(folder, "seal.json"), InvalidBundle)
    manifest_body, weights_body = _file(folder, "manifest.json"), _file(folder, "weights.safetensors")
    signing.check_sha256(manifest_body, seal.manifest_sha256, "manifest.json")
    signing.check_sha256(weights_body, seal.weights_sha256, "weights.safetensors")
    if trusted_key and seal.public_key != trusted_key:
        raise IntegrityError(
            f"{folder} was not sealed by the trusted key",
            remedy="ask its publisher for a signature, or trust their key",
        )
    if seal.signature or trusted_key:
        signing.verify(seal.public_key, seal.message(), seal.signature)
    manifest = parse_manifest(manifest_body)
    for path, (expected, _) in manifest.files().items():
        signing.check_sha256(_file(folder, path), expected, path)
    return Bundle(folder, manifest, tensors.from_bytes(weights_body, manifest.weights), seal)


def _file(folder: Path, name: str) -> bytes:
    path = folder / name
    if not path.is_file():
        raise InvalidBundle(f"{folder} has no {name}", remedy="point to a folder that `fedrela export` wrote")
    return path.read_bytes()
