"""How far a branch is: weights, labels trained on, and what a treatment remembers, in a file that no kill tears.

state.write(path)
state = read(path, weights)     # None: it has not begun
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fedrela.core import tensors
from fedrela.core.tensors import Array, Params
from fedrela.study.loop.drift import Controls
from fedrela.study.loop.labels import Labels


@dataclass(frozen=True)
class State:
    """After a round of the branch, from 0."""

    round: int
    weights: Params
    labels: tuple[Labels, ...]  # by device
    controls: Controls | None = None
    clip: float = 0.0  # the norm that changes are clipped to before noise; 0: not known yet
    seconds: float = 0.0

    def write(self, path: Path) -> None:
        """All or nothing."""
        arrays: dict[str, Array] = {f"weights/{name}": array for name, array in self.weights.items()}
        for device, labels in enumerate(self.labels):
            for name, array in vars(labels).items():
                arrays[f"labels/{device}/{name}"] = array
        if self.controls is not None:
            for place, params in enumerate((self.controls.fleet, *self.controls.devices)):
                arrays |= {f"controls/{place}/{name}": array for name, array in params.items()}
        said = {"round": str(self.round), "clip": repr(self.clip), "seconds": repr(self.seconds)}
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_bytes(tensors.to_bytes(arrays, said))
        part.replace(path)


def read(path: Path, names: Iterable[str]) -> State | None:
    """The newest state; `names` of the weights in their order. None: there is none."""
    if not path.exists():
        return None
    body = path.read_bytes()
    arrays, said = tensors.read(body), tensors.read_metadata(body)
    weights = {name: arrays[f"weights/{name}"] for name in names}
    labels = [Labels(**part) for part in _numbered(arrays, "labels")]
    fleet, *devices = _numbered(arrays, "controls") or [{}]
    controls = Controls(fleet, tuple(devices)) if devices else None
    return State(int(said["round"]), weights, tuple(labels), controls, float(said["clip"]), float(said["seconds"]))


def _numbered(arrays: dict[str, Array], kind: str) -> list[dict[str, Array]]:
    """What is named kind/number/name, by its number."""
    parts: dict[int, dict[str, Array]] = {}
    for key, array in arrays.items():
        if key.startswith(f"{kind}/"):
            _, number, name = key.split("/", 2)
            parts.setdefault(int(number), {})[name] = array
    return [parts[number] for number in sorted(parts)]
