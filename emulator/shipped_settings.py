"""TOML files that come with a package, by name; and a user's own, by path.

>>> shipped = ShippedSettings("scenario", "fedrela.emulator", "scenarios", len, InvalidInput)
>>> "ci" in shipped.names()
True
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Generic, TypeVar

from fedrela.core import strict
from fedrela.core.errors import InvalidInput

T = TypeVar("T")


@dataclass(frozen=True)
class ShippedSettings(Generic[T]):
    """The .toml files in `folder` of `package`; `parse` makes a `noun` of one, and `error` says that there is none."""

    noun: str
    package: str
    folder: str
    parse: Callable[[str], T]
    error: type[InvalidInput]
    former_names: Mapping[str, str] = field(default_factory=dict)  # still found, and not listed

    def names(self) -> tuple[str, ...]:
        """What comes with the package, sorted."""
        items = (resources.files(self.package) / self.folder).iterdir()
        return tuple(sorted(item.name.removesuffix(".toml") for item in items if item.name.endswith(".toml")))

    def load(self, name_or_path: str) -> tuple[T, Path]:
        """What a file holds, or the shipped one of that name; with the folder that its paths are relative to."""
        path = Path(name_or_path)
        if path.is_file():
            return self.parse(strict.toml_text(path, self.error, self.noun)), path.parent
        name = self.former_names.get(name_or_path, name_or_path)
        if name in self.names():
            shipped = resources.files(self.package) / self.folder / f"{name}.toml"
            return self.parse(shipped.read_text(encoding="utf-8")), Path.cwd()
        raise self.error(
            f"there is no {self.noun} {name_or_path!r}", remedy=f"name a file, or one of {', '.join(self.names())}"
        )
