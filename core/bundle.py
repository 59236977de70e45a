"""The artifact folder: exported programs, their manifest, start weights, golden outputs and a seal.

    bundle/
      manifest.json         what every program takes and gives, hashes and sizes; says nothing of the weights
      train_step.onnx ...   one file per program and runtime
      golden.safetensors    expected outputs of the golden steps (see core.golden)
      weights.safetensors   checkpoint 0: parameters and buffers
      seal.json             sha256 of manifest.json and of weights.safetensors, and optionally a publisher's signature

So other weights change weights.safetensors and the seal, and nothing else. May import `core`.

    >>> import tempfile, pathlib
    >>> read(pathlib.Path(tempfile.mkdtemp()))
    Traceback (most recent call last):
    ...
    core.errors.InvalidBundle: ... has no seal.json; point to a folder that `fedrela export` wrote
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core import signing, strict, tensors
from core.errors import IntegrityError, InvalidBundle
from core.tensors import Params, TensorSpec

SCHEMA_VERSION = 1
PROGRAMS = ("train_step", "predict", "relabel")

Role = Literal[
    "parameter",  # trainable, travels; also an output of train_step
    "buffer",  # BatchNorm statistics, travels; also an output of train_step
    "optimizer",  # stays on the device; zeros at the start of a turn; also an output of train_step
    "anchor",  # the global value of the parameter of the same name without the "anchor." prefix (FedProx)
    "x",  # raw examples, first dimension "B"
    "y",  # labels (B,) int64
    "weight",  # (B,) float32, 0 for padding
    "hyperparameter",  # () float32
    "random",  # uniforms in [0, 1), float32
    "class_prior",  # (C,) float32, the device's own label shares (after re-labeling); never leaves it
    "probabilities",  # relabel only, ("N", C) float32
    "labels",  # relabel only, ("N",) int64
    "uniforms",  # relabel only, ("N", C) float32
    "threshold_percent",  # relabel only, () float32
]


@dataclass(frozen=True)
class ProgramInput:
    """One input of a program: the name in the graph, what to feed, and its shape with "B" or "N" left open."""

    name: str
    role: Role
    shape: tuple[int | str, ...]
    dtype: str = "float32"

    @property
    def spec(self) -> TensorSpec:
        """The same without its role."""
        return TensorSpec(self.name, self.shape, self.dtype)


@dataclass(frozen=True)
class ProgramFile:
    """One program for one runtime. `max_batch` 0: any batch size; otherwise the largest that it takes."""

    runtime: Literal["onnx", "executorch"]
    path: str
    sha256: str
    size_bytes: int
    min_runtime_version: str
    max_batch: int = 0


@dataclass(frozen=True)
class Program:
    """Inputs and output names in graph order, and a file for each runtime.

    train_step gives the new value of every parameter, buffer and optimizer input, in the order of those inputs and
    named "new." + their name, then `loss_sum`, `correct_sum`, `weight_sum` (all () float32). predict gives
    `probabilities` (B, C). relabel gives `new_labels` (N,) int64 and `flip_rate` (N,) float32.
    """

    inputs: tuple[ProgramInput, ...]
    outputs: tuple[str, ...]
    files: tuple[ProgramFile, ...]

    def file(self, runtime: str) -> ProgramFile | None:
        """The file for `runtime`, if there is one."""
        return next((file for file in self.files if file.runtime == runtime), None)

    def role(self, *roles: str) -> tuple[ProgramInput, ...]:
        """The inputs that have one of `roles`, in order."""
        return tuple(item for item in self.inputs if item.role in roles)


@dataclass(frozen=True)
class Preprocessing:
    """How a device makes x from what it holds. Normalisation and augmentation are inside the programs."""

    kind: Literal["image", "tabular", "tokens", "raw"] = "raw"
    resize: bool = False  # images of another size: resized, or else refused
    grayscale: bool = False
    columns: tuple[str, ...] = ()  # tabular: the CSV columns, in order


@dataclass(frozen=True)
class Golden:
    """How the golden steps' inputs are made (see core.golden) and where their outputs are."""

    path: str
    sha256: str
    size_bytes: int
    seed: int = 0
    steps: int = 3
    batch: int = 8
    token_limit: int = 0  # x of an integer dtype other than uint8 lies below this
    tolerance: float = 1e-4  # largest relative error per tensor


@dataclass(frozen=True)
class Manifest:
    """What a bundle holds. Devices and the coordinator need nothing else to know about a model."""

    name: str
    classes: int
    train_step: Program
    predict: Program
    relabel: Program
    golden: Golden
    loss: str = "cross-entropy"
    optimizer: str = "sgd"
    hyperparameters: dict[str, float] | None = None  # defaults, by input name
    class_names: tuple[str, ...] = ()
    preprocessing: Preprocessing = Preprocessing()
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        if self.schema_version != SCHEMA_VERSION:
            raise InvalidBundle(
                f"the manifest has schema version {self.schema_version}, this program reads {SCHEMA_VERSION}",
                remedy="export the model again, or update this program",
            )
        if self.classes < 2:
            raise InvalidBundle(f"the manifest names {self.classes} classes", remedy="export with at least 2 classes")
        if self.class_names and len(self.class_names) != self.classes:
            raise InvalidBundle(
                f"{len(self.class_names)} class names for {self.classes} classes", remedy="name every class once"
            )

    @property
    def weights(self) -> tuple[TensorSpec, ...]:
        """The tensors that travel: parameters and buffers, in train_step's order."""
        return tuple(item.spec for item in self.train_step.role("parameter", "buffer"))

    @property
    def x(self) -> tuple[TensorSpec, ...]:
        """The raw example tensors, first dimension "B"."""
        return tuple(item.spec for item in self.train_step.role("x"))

    def files(self) -> dict[str, tuple[str, int]]:
        """path -> (sha256, size in bytes) of every file the manifest names."""
        programs = (self.train_step, self.predict, self.relabel)
        named = {file.path: (file.sha256, file.size_bytes) for program in programs for file in program.files}
        return named | {self.golden.path: (self.golden.sha256, self.golden.size_bytes)}


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


def parse_manifest(body: bytes) -> Manifest:
    """Read a manifest. Raises InvalidBundle; a path that leaves the folder is refused."""
    manifest = strict.from_json(Manifest, body, InvalidBundle)
    for path in manifest.files():
        if path != Path(path).name or path in ("", ".", ".."):
            raise InvalidBundle(f"the manifest names the path {path!r}", remedy="use plain file names")
    for name, program in zip(PROGRAMS, (manifest.train_step, manifest.predict, manifest.relabel), strict=True):
        if not program.files:
            raise InvalidBundle(f"program {name} has no file", remedy="export it for at least one runtime")
    return manifest


def write(folder: Path, manifest: Manifest, weights: Params, *, private_key: str = "") -> Seal:
    """Write manifest, weights and seal beside the program files that are already in `folder`."""
    tensors.check(weights, manifest.weights)
    manifest_body = strict.to_json(manifest)
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
