"""Which runtimes this device has, and the engines opened on them: one per bundle, shared by every assignment.

A runtime's own module is imported when its first program is opened; with a sandbox never here, but in its process.

pool = EnginePool(threads=2)
pool = EnginePool(sandbox=Sandbox(("onnx",)))    # what `fedrela device run` does
pool.offered()                                   # ("onnx 1.32.0",), as a check-in says it
engine = pool.open(manifest_sha256, manifest, read)
"""

import importlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from threading import Lock

from fedrela.core import golden, interpreter, tensors
from fedrela.core.bundle import PROGRAMS, Manifest, ProgramFile
from fedrela.core.errors import InvalidInput, InvalidTensors, MissingDependency, VerificationFailed
from fedrela.core.tensors import Params, TensorSpec
from fedrela.core.versions import leading_numbers
from fedrela.edge.engines.engine import INSTALL, Engine, RunNative, run_here, state_bytes
from fedrela.edge.sandbox.engine import SandboxedEngine
from fedrela.edge.sandbox.process import Sandbox
from fedrela.edge.sandbox.seal import Confinement

# runtime -> module and class. Each module has `version() -> str`, raising MissingDependency where it isn't installed.
RUNTIMES = {
    "onnx": ("fedrela.edge.engines.onnx_engine", "OnnxEngine", INSTALL["onnx"]),
    "executorch": ("fedrela.edge.engines.executorch_engine", "ExecutorchEngine", INSTALL["executorch"]),
}

Read = Callable[[ProgramFile], bytes]


@dataclass
class EnginePool:
    """Opened engines by manifest hash. May be shared by many devices of one process, and by threads.

    Where a host program has loaded ONNX Runtime with its telemetry on, programs run in a sandbox in any case.

    `run_native`: how an engine calls a runtime that lets go of Python meanwhile; others run in the thread that asks.
    """

    runtimes: tuple[str, ...] = ("onnx",)  # in order of preference
    threads: int = 1
    tested: set[str] = field(default_factory=set)  # self-tests that this process has seen pass
    run_native: RunNative = run_here
    most_open: int = 4  # the least recently used is closed; whoever still works with it keeps it until then
    sandbox: Sandbox | None = None  # where programs run; in this process where there is none
    _engines: dict[str, Engine] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        if self.sandbox is None and "onnx" in self.runtimes and interpreter.telemetry_is_on():
            warnings.warn(
                "onnxruntime was imported before fedrela, so its telemetry is on here: programs run in another process."
                " Import fedrela first, or set ORT_DISABLE_TELEMETRY=1",
                stacklevel=2,
            )
            self.sandbox = Sandbox(self.runtimes, threads=self.threads)

    @property
    def confinement(self) -> Confinement:
        """What holds a program back."""
        return self.sandbox.confinement if self.sandbox else Confinement((), "programs run in the device's own process")

    def require_confinement(self) -> None:
        """Raise MissingDependency where nothing holds a program back."""
        if not self.confinement:
            raise MissingDependency(
                f"programs are not confined here: {self.confinement}",
                remedy="give the pool a sandbox, on Linux with seccomp, or set require_sandbox = false",
            )

    def version(self, runtime: str) -> str:
        """A runtime's version, where its programs run. Raises InvalidInput or MissingDependency."""
        if not self.sandbox:
            return runtime_version(runtime)
        _check_known(runtime)
        return self.sandbox.version(runtime)

    def offered(self) -> tuple[str, ...]:
        """ "name version" of every runtime, best first. Raises MissingDependency for one that isn't installed."""
        return tuple(f"{name} {self.version(name)}" for name in self.runtimes)

    def known(self, manifest_sha256: str) -> Engine | None:
        """The engine of a bundle that is already open; it then counts as used most recently."""
        with self._lock:
            return self._used(manifest_sha256)

    @property
    def state_bytes(self) -> int:
        """What a training state holds, in bytes: the largest of the open engines' states; 0 if none is open."""
        return max((state_bytes(engine.manifest) for engine in self._engines.values()), default=0)

    def open(self, manifest_sha256: str, manifest: Manifest, read: Read) -> Engine:
        """The engine for a bundle; `read` gives a program file's verified bytes. One is opened, whoever asks first."""
        with self._lock:
            engine = self._used(manifest_sha256)
            if engine is None:
                engine = self._engines[manifest_sha256] = self._make(manifest, read)
                for oldest in list(self._engines)[: -self.most_open]:
                    del self._engines[oldest]
            return engine

    def add(self, manifest_sha256: str, engine: Engine) -> None:
        """An engine that the host has opened itself, on whatever it likes: `open` gives this one."""
        with self._lock:
            self._engines[manifest_sha256] = engine

    def close(self, manifests: set[str]) -> None:
        """Let go of the engines of these bundles; whoever still works with one keeps it until then."""
        with self._lock:
            for manifest_sha256 in manifests:
                self._engines.pop(manifest_sha256, None)

    def weights(self, sha256: str, body: bytes, specs: tuple[TensorSpec, ...]) -> Params:
        """The weights in a checkpoint's verified bytes. Raises InvalidTensors."""
        return tensors.from_bytes(body, specs)

    def _used(self, manifest_sha256: str) -> Engine | None:
        engine = self._engines.pop(manifest_sha256, None)
        if engine is not None:
            self._engines[manifest_sha256] = engine
        return engine

    def _make(self, manifest: Manifest, read: Read) -> Engine:
        name = choose(manifest, self.runtimes, self.version)
        files = {program: getattr(manifest, program).file(name) for program in PROGRAMS}
        if self.sandbox:
            return SandboxedEngine(self.sandbox, name, manifest, lambda program: read(files[program]))
        module, kind, _ = RUNTIMES[name]
        make = getattr(importlib.import_module(module), kind)
        bodies = {key: read(file) for key, file in files.items()}
        engine: Engine = make(manifest, bodies, threads=self.threads, run_native=self.run_native)
        return engine


def runtime_version(name: str) -> str:
    """The installed version of a runtime. Raises InvalidInput (unknown name) or MissingDependency."""
    _check_known(name)
    module, _, install = RUNTIMES[name]
    try:
        return str(importlib.import_module(module).version())
    except ModuleNotFoundError as error:
        raise MissingDependency(
            f"the runtime {name} is not installed ({error.name} is missing)", remedy=install
        ) from error


def _check_known(name: str) -> None:
    if name not in RUNTIMES:
        raise InvalidInput(f"there is no runtime {name!r}", remedy=f"choose one of {', '.join(RUNTIMES)}")


def choose(manifest: Manifest, runtimes: tuple[str, ...], version: Callable[[str], str] | None = None) -> str:
    """The first runtime that has a file for every program and is new enough. Raises MissingDependency if none is.

    `version` of a runtime, if it isn't the one installed here.
    """
    version, reasons = version or runtime_version, []
    for name in runtimes:
        files = [getattr(manifest, program).file(name) for program in PROGRAMS]
        if None in files:
            reasons.append(f"the bundle has no {name} programs")
            continue
        needed = max((file.min_runtime_version for file in files), key=leading_numbers)
        if leading_numbers(version(name)) >= leading_numbers(needed):
            return name
        reasons.append(f"{name} {needed} or newer is needed, {version(name)} is installed")
    raise MissingDependency("; ".join(reasons), remedy="update the runtime, or export the model for one that is here")


def self_test(engine: Engine, expected: bytes) -> None:
    """Run the golden steps. Raises VerificationFailed where this runtime doesn't give the recorded outputs.

    An output that isn't recorded is one that float32 doesn't determine, so nobody is asked for it.
    """
    programs = [partial(engine.run, program) for program in PROGRAMS]
    try:
        recorded = tensors.read(expected)
        computed = golden.run(engine.manifest, *programs)
        silent = set(PROGRAMS) - {name.split(".", 1)[0] for name in recorded}
        unknown = {name.removeprefix(golden.SLACK) for name in recorded} - set(computed)
        if not silent and not unknown:
            golden.check(engine.manifest, recorded, computed)
            return
        problem = f"output {min(unknown)[:80]} was not computed" if unknown else f"nothing of {min(silent)} is recorded"
    except InvalidTensors as error:
        problem = error.problem
    except (KeyError, IndexError, TypeError, ValueError, ArithmeticError, MemoryError) as error:
        problem = f"the manifest doesn't describe them ({type(error).__name__}: {str(error)[:80]})"
    raise VerificationFailed(
        f"the golden steps can't be compared: {problem}", remedy="nothing was trained; export the model again"
    )
