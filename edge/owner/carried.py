"""What a service must be given of the shell that installs it, since it starts with none of it.

source = located("my_data:load")        # found in this folder: the service works in it, and sees that module
environment(os.environ)                 # {"HTTPS_PROXY": ..., "SSL_CERT_FILE": ...}
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fedrela.core.environment import network_settings, user_folders
from fedrela.edge.sources import open_source

PATHS = (*network_settings.CERTIFICATES, "PYTHONPATH")
VARIABLES = (*network_settings.VARIABLES, "PYTHONPATH", "TZ")
EMPTY_FOLDER = Path("/tmp")  # of the service's own


@dataclass(frozen=True)
class Source:
    """Data as a service names it, the paths that it must see for it, and the folder in which modules are found.

    `beside`: a module's folder, in which there may be what it needs.
    """

    words: str
    readable: tuple[Path, ...]
    beside: tuple[Path, ...] = ()
    working_folder: Path = EMPTY_FOLDER


def environment(shell: Mapping[str, str]) -> dict[str, str]:
    """The variables that a device goes by, as far as this shell has them; relative paths made whole."""
    values = {name: shell[name] for name in VARIABLES if shell.get(name)}
    return values | {name: os.pathsep.join(map(str, paths(values[name]))) for name in PATHS if name in values}


def paths(value: str) -> list[Path]:
    """The paths that a variable lists."""
    return [Path(entry).absolute() for entry in value.split(os.pathsep) if entry]


def located(data: str) -> Source:
    """The data that `--data` names. Raises InvalidData where there are none, or where a module can't be imported."""
    open_source(data)
    path = user_folders.expanded(data)
    if path.exists():
        return Source(str(path.resolve()), (path.resolve(),))
    module_name, _, function = data.rpartition(":")
    if module_name.endswith(".py"):
        file = user_folders.expanded(module_name).resolve()
        return Source(f"{file}:{function}", (file,), (file.parent,))
    module = sys.modules[module_name.partition(".")[0]]
    places = [Path(place).resolve() for place in getattr(module, "__path__", None) or [module.__file__ or ""]]
    here = Path.cwd()
    if any(place.parent == here for place in places):
        return Source(data, tuple(places), (here,), here)
    return Source(data, tuple(places))
