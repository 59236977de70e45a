"""What `pip install 'fedrela[...]'` brings, and what of it is missing here.

The package's own metadata say what belongs to which extra, so nothing is listed twice. Nothing is imported to find out.

    >>> requirements("ray")["ray"], "httpx" in requirements("emulator")
    ('ray', True)
    >>> install_line("coordinator", "edge")
    "pip install 'fedrela[coordinator,edge]'"
"""

import re
import sys
from functools import lru_cache
from importlib import metadata, util

from fedrela.core.errors import MissingDependency

USUAL = ("edge", "coordinator", "export", "emulator", "ray", "study")  # the smallest first
STORES = ("postgresql", "s3")  # of a coordinator that doesn't keep everything in its folder
# Distributions that aren't imported by their own name.
_MODULES = {
    "pillow": "PIL",
    "prometheus-client": "prometheus_client",
    "ruamel.yaml.clib": "_ruamel_yaml",
    "scikit-learn": "sklearn",
}
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9._-]+)(?:\[([A-Za-z0-9,._-]+)\])?")
_LOWEST = re.compile(r">=\s*([0-9][0-9A-Za-z.]*)")
_EXTRA = re.compile(r"""extra\s*==\s*['"]([^'"]+)['"]""")


@lru_cache(maxsize=32)
def requirements(extra: str) -> dict[str, str]:
    """Distribution -> the module that it is imported as, of everything that an extra asks for; empty if unknown."""
    needed: dict[str, str] = {}
    for text in _metadata():
        named, _, marker = text.partition(";")
        of_extra, match = _EXTRA.search(marker), _REQUIREMENT.match(named)
        if match is None or of_extra is None or of_extra[1] != extra or ("win32" in marker and sys.platform == "win32"):
            continue
        name = match[1].lower()
        if name == "fedrela":
            for other in match[2].split(","):
                needed |= requirements(other)
        else:
            needed[name] = _MODULES.get(name, name.replace("-", "_"))
    return needed


def lowest(distribution: str) -> str:
    """The lowest version of a distribution that the package allows; empty where it names none."""
    for text in _metadata():
        match, bound = _REQUIREMENT.match(text), _LOWEST.search(text.partition(";")[0])
        if match and bound and match[1].lower() == distribution:
            return bound[1]
    return ""


def missing(extra: str) -> list[str]:
    """Those distributions of an extra that aren't installed, in alphabetical order."""
    return sorted(name for name, module in requirements(extra).items() if not _is_there(module))


def providing(module: str, *, first: tuple[str, ...] = ()) -> str | None:
    """The extra that brings a module: one of `first` if it does, else the smallest; None where none does."""
    top = module.partition(".")[0]
    return next((extra for extra in (*first, *USUAL, *STORES) if top in requirements(extra).values()), None)


def require(extra: str, purpose: str) -> None:
    """Raise MissingDependency unless all of an extra is installed; `purpose`: what needs it."""
    if lacking := missing(extra):
        raise MissingDependency(
            f"{purpose} needs {', '.join(lacking)}, which is not installed", remedy=f"run: {install_line(extra)}"
        )


def install_line(*extras: str) -> str:
    """What to type to have these extras."""
    return f"pip install 'fedrela[{','.join(sorted(set(extras)))}]'"


def _metadata() -> list[str]:
    """Every requirement of the package; none where it runs from a folder that was never installed."""
    try:
        return metadata.requires("fedrela") or []
    except metadata.PackageNotFoundError:
        return []


def _is_there(module: str) -> bool:
    try:
        return util.find_spec(module) is not None
    except (ImportError, ValueError):  # one that a program has taken away or half loaded
        return False
