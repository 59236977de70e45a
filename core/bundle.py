"""The artifact folder: exported programs, their manifest, start weights, golden outputs and a seal.

    bundle/
      manifest.json         what every program takes and gives, hashes and sizes (see fedrela.core.manifest)
      train_step.onnx ...   one file per program and runtime
      golden.safetensors    expected outputs of the golden steps (see fedrela.core.golden)
      weights.safetensors   checkpoint 0: parameters and buffers
      seal.json             the publisher's signature over manifest and weights (see fedrela.core.protocol.seals)

So other weights change weights.safetensors and the seal, and nothing else.

    >>> import tempfile, pathlib
    >>> read(pathlib.Path(tempfile.mkdtemp()))
    Traceback (most recent call last):
    ...
    fedrela.core.errors.InvalidBundle: ... has no seal.json; point to a folder that `fedrela export` wrote
"""

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
from fedrela.core.protocol import seals
from fedrela.core.protocol.limits import Sha256
from fedrela.core.protocol.programs import Program, ProgramFile, ProgramInput, Role
from fedrela.core.protocol.seals import Seal
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
    "read_unsigned",
    "seal",
    "write",
]


@dataclass(frozen=True)
class Bundle:
    """A bundle that was read and verified: every hash matches, and the signature where there is one."""

    folder: Path
    manifest: Manifest
    weights: Params
    seal: Seal

    def blobs(self) -> dict[str, bytes]:
        """sha256 -> bytes of every file that a coordinator stores."""
        bodies = [(self.folder / name).read_bytes() for name in ("manifest.json", "weights.safetensors")]
        bodies += [(self.folder / path).read_bytes() for path in self.manifest.files()]
        return {signing.sha256(body): body for body in bodies}


def write(folder: Path, manifest: Manifest, weights: Params, *, private_key: str) -> Seal:
    """Write manifest, weights and the publisher's seal beside the program files that are already in `folder`.

    Raises InvalidBundle or InvalidTensors, and then nothing was written.
    """
    manifest.check_weights(weights)
    manifest_body = strict.to_json(manifest)
    parse_manifest(manifest_body)  # what no device would take is not written
    (folder / "manifest.json").write_bytes(manifest_body)
    (folder / "weights.safetensors").write_bytes(tensors.to_bytes(weights))
    return seal(folder, private_key)


def seal(folder: Path, private_key: str) -> Seal:
    """Sign what a folder holds as its publisher, in place of an earlier signature. Raises InvalidBundle."""
    roots = (signing.sha256(_file(folder, name)) for name in ("manifest.json", "weights.safetensors"))
    signed = seals.seal(private_key, manifest_sha256=next(roots), weights_sha256=next(roots))
    (folder / "seal.json").write_bytes(strict.to_json(signed))
    return signed


def read(folder: Path, *, trusted_key: str = "") -> Bundle:
    """Read and verify a bundle: the publisher's signature, by `trusted_key` if one is given, hashes, names and shapes.

    Raises InvalidBundle (missing or malformed file, or nobody has signed it), IntegrityError (a byte changed, or signed
    by someone else) or InvalidTensors (weights that don't fit).
    """
    opened = read_unsigned(folder)
    if not opened.seal.signature:
        raise InvalidBundle(
            f"{folder} is not signed, and no device takes an unsigned program",
            remedy=f"if you vouch for it, sign it: fedrela seal {folder}",
        )
    if trusted_key and opened.seal.public_key != trusted_key:
        raise IntegrityError(
            f"{folder} was not sealed by the trusted key",
            remedy="ask its publisher for a signature, or trust their key",
        )
    return opened


def read_unsigned(folder: Path) -> Bundle:
    """The same, but one that version 0.1 left unsigned is read, too: to look into it, to test it, to sign it."""
    body = _file(folder, "seal.json")
    try:
        stated = strict.from_json(_Stated, body, InvalidBundle)
    except InvalidBundle as fault:
        remedy = "fetch the bundle again; the bytes were damaged"
        raise InvalidBundle(f"seal.json is no seal: {fault.problem}", remedy=remedy) from fault
    signed = bool(stated.signature or stated.public_key)
    sealed = strict.from_json(Seal, body, InvalidBundle) if signed else Seal(**vars(stated))
    if signed:
        sealed.verify()
    manifest_body, weights_body = _file(folder, "manifest.json"), _file(folder, "weights.safetensors")
    signing.check_sha256(manifest_body, sealed.manifest_sha256, "manifest.json")
    signing.check_sha256(weights_body, sealed.weights_sha256, "weights.safetensors")
    manifest = parse_manifest(manifest_body)
    for path, (expected, _) in manifest.files().items():
        signing.check_sha256(_file(folder, path), expected, path)
    weights = tensors.from_bytes(weights_body, manifest.weights)
    manifest.check_weights(weights)
    return Bundle(folder, manifest, weights, sealed)


@dataclass(frozen=True)
class _Stated:
    """What seal.json says, signed or not."""

    manifest_sha256: Sha256
    weights_sha256: Sha256
    public_key: str = ""
    signature: str = ""


def _file(folder: Path, name: str) -> bytes:
    path = folder / name
    try:
        if path.is_file():
            return path.read_bytes()
    except OSError as fault:
        raise InvalidBundle(f"{path} can't be read ({fault.strerror})", remedy="let this user read it") from fault
    raise InvalidBundle(f"{folder} has no {name}", remedy="point to a folder that `fedrela export` wrote")
