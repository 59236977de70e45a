"""Loads a runtime and lets it compute once, so that whatever it opens lazily is open before the process is sealed."""

import sys

import numpy as np

from fedrela.core.errors import MissingDependency

MISSING = "is missing"  # how what is said of a module that isn't installed ends
# The smallest ONNX model there is: y = Identity(x), x and y float32 of one element.
_VALUE = b"\x0a\x01%b\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x01"
_NODE = b"\x0a\x01x\x12\x01y\x22\x08Identity"
_GRAPH = b"\x0a\x10%b\x12\x01g\x5a\x0f%b\x62\x0f%b" % (_NODE, _VALUE % b"x", _VALUE % b"y")
IDENTITY = b"\x08\x08\x42\x02\x10\x11\x3a%c%b" % (len(_GRAPH), _GRAPH)


def load(runtime: str, threads: int) -> str:
    """The runtime's version, once it has run. Raises MissingDependency where it can't be loaded."""
    load_one = {"onnx": _onnx, "executorch": _executorch}.get(runtime)
    if load_one is None:
        raise MissingDependency(f"there is no runtime {runtime!r}", remedy="choose another")
    try:
        return load_one(threads)
    except ModuleNotFoundError as error:
        raise MissingDependency(f"{error.name or error} {MISSING}", remedy="install it") from error
    except ImportError as error:  # it is here, and the system can't load it
        raise MissingDependency(f"it can't be loaded: {error}", remedy="install another version of it") from error


def _onnx(threads: int) -> str:
    from fedrela.edge.engines import onnx_engine

    session = onnx_engine.open_session(IDENTITY, "warm-up", threads)
    session.run(["y"], {"x": np.ones(1, np.float32)})
    return onnx_engine.version()


def _executorch(threads: int) -> str:
    from fedrela.edge.engines import executorch_engine

    executorch_engine.import_runtime(threads)
    return executorch_engine.version()


if __name__ == "__main__":
    for name in sys.argv[1:] or ["onnx"]:
        print(name, load(name, 1))
