"""FedReLa Edge: train an imbalanced classifier across devices whose data stays private.

What a user's own program needs, loaded when it is asked for (so that a device never loads torch, nor a server the
device):

    export_classifier   a PyTorch model becomes training programs          needs fedrela[export]
    DeviceClient        a device inside a program of one's own             needs fedrela[edge]
    open_source         local data from a folder, a zip, a table, ...      needs fedrela[edge]
    emulate             a whole fleet, as a scenario describes it          needs fedrela[emulator]
    create_app          the coordinator as an ASGI application             needs fedrela[coordinator]

    >>> from fedrela import __version__
    >>> __version__.count(".")
    2
"""

from os import environ as _environ  # loaded before any program's first line, so that nobody's `os.py` is taken for it
from sys import modules as _modules

# ONNX Runtime's official builds send events with a device id to their vendor unless this is set before they are loaded.
# Where the program that holds us was faster, it is left as it is: see `fedrela.core.interpreter.telemetry_is_on`.
if "onnxruntime" not in _modules:
    _environ["ORT_DISABLE_TELEMETRY"] = "1"

# Not imported from `typing`: `python -m fedrela` runs this file while the caller's folder still comes first.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from fedrela.coordinator.app import create_app as create_app
    from fedrela.edge.client import DeviceClient as DeviceClient
    from fedrela.edge.sources import open_source as open_source
    from fedrela.emulator.emulation import emulate as emulate
    from fedrela.export.classifier import export_classifier as export_classifier

__version__ = "0.2.0"
__all__ = ["DeviceClient", "__version__", "create_app", "emulate", "export_classifier", "open_source"]


def __getattr__(name: str) -> object:
    """Import a public name's package when the name is asked for."""
    match name:
        case "DeviceClient":
            from fedrela.edge.client import DeviceClient

            return DeviceClient
        case "create_app":
            from fedrela.coordinator.app import create_app

            return create_app
        case "emulate":
            from fedrela.emulator.emulation import emulate

            return emulate
        case "export_classifier":
            from fedrela.export.classifier import export_classifier

            return export_classifier
        case "open_source":
            from fedrela.edge.sources import open_source

            return open_source
    raise AttributeError(f"module 'fedrela' has no attribute {name!r}")
