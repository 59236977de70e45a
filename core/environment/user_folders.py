"""The user's own folders, as the XDG Base Directory Specification names them; a home is not taken for granted.

Services and containers run as users without a home. Relative paths in the variables are ignored, as it says.

    >>> state({"XDG_STATE_HOME": "/var/lib"}), configuration({"HOME": "/home/pi"})
    (PosixPath('/var/lib'), PosixPath('/home/pi/.config'))
"""

import os
import pwd
from collections.abc import Mapping
from pathlib import Path

from fedrela.core.errors import InvalidInput


def state(environment: Mapping[str, str] = os.environ) -> Path:
    """Where programs keep what they remember. Raises InvalidInput where there is no home."""
    return _folder("XDG_STATE_HOME", ".local/state", environment)


def configuration(environment: Mapping[str, str] = os.environ) -> Path:
    """Where a user's settings are. Raises InvalidInput where there is no home."""
    return _folder("XDG_CONFIG_HOME", ".config", environment)


def home(environment: Mapping[str, str] = os.environ) -> Path:
    """$HOME, else the home of this process's user. Raises InvalidInput where there is none."""
    named = environment.get("HOME", "")
    if not named:
        try:
            named = pwd.getpwuid(os.getuid()).pw_dir
        except KeyError:  # a container's user without a name
            named = ""
    if not os.path.isabs(named):
        raise InvalidInput(
            "this user has no home folder", remedy="set HOME, or name the folder: a device's state with --state"
        )
    return Path(named)


def expanded(path: str | Path, environment: Mapping[str, str] = os.environ) -> Path:
    """A path whose leading ~ is the home. Raises InvalidInput for a home that isn't known."""
    first, *rest = Path(path).parts or ("",)
    if first == "~":
        return Path(home(environment), *rest)
    try:
        return Path(path).expanduser()
    except RuntimeError as error:  # ~somebody
        raise InvalidInput(f"there is no user {first[1:]}, whose home {path} names", remedy="correct it") from error


def _folder(variable: str, below_home: str, environment: Mapping[str, str]) -> Path:
    named = environment.get(variable, "")
    return Path(named) if os.path.isabs(named) else home(environment) / below_home
