"""Cells: the smallest runs that a study asks for, each named by a hash of everything that its result depends on.

    trunk       a method, up to the round where branches start: the model before
    kept        the branch that goes on with the labels as they are
    relabeled   the branch that goes on with FedReLa's labels, from the same weights and with the same learning rate
    reference   trained on the pooled data, which no federation could

Both branches share all rounds before their start, so these run once. A cell that differs in anything that matters has
another name, and one with the same name is never run twice.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fedrela.study.config import Model, Setting, Study, Training, Variant
from fedrela.study.methods import METHODS

FORMAT = 1  # raised when the same settings would give other results
Arm = Literal["trunk", "kept", "relabeled", "reference"]
# Added to settings when there were results: a cell that leaves them alone is the cell that it was.
_ADDED = {"class_order": "given", "people_fold": 0, "people_folds": 4, "stratified": False, "secure": False}


@dataclass(frozen=True)
class Cell:
    """One run. `variant` is None for trunks and references; `start` is the length of the (shared) trunk in rounds."""

    data: str
    data_sha256: str
    model: Model
    setting: Setting
    training: Training
    method: str  # a key of METHODS, or the name of a reference
    arm: Arm
    start: int
    variant: Variant | None
    seed: int

    @property
    def trunk_key(self) -> str:
        """The name of what is trained before the branches: independent of where they start."""
        return _digest(self._shared())

    @property
    def key(self) -> str:
        """The cell's name: 16 hex digits."""
        return _digest(self._shared() | self._own())

    def shown(self) -> dict[str, Any]:
        """All of it as plain values, for a result's line."""
        values = dataclasses.asdict(self)
        for name, usual in _ADDED.items():
            if values["setting"][name] == usual:
                del values["setting"][name]
        if self.variant is not None:
            del values["variant"]["treatment"]
            if self.variant.treatment:
                values["variant"]["treatment"] = self.variant.treatment.shown()
        return values

    def _shared(self) -> dict[str, Any]:
        shown = self.shown()
        model, setting, training = shown["model"], shown["setting"], shown["training"]
        del model["name"], setting["name"]
        if self.arm != "reference":
            del training["rounds"]  # a trunk doesn't know how many rounds will follow
        method: Any = self.method
        if self.method in METHODS:
            method = dataclasses.asdict(METHODS[self.method])
            del method["title"], method["source"]
        known = {"format": FORMAT, "data": self.data_sha256, "model": model, "setting": setting}
        return known | {"training": training, "method": method, "seed": self.seed}

    def _own(self) -> dict[str, Any]:
        if self.arm == "reference":
            return {"arm": self.arm}
        own: dict[str, Any] = {"arm": self.arm, "start": self.start}
        if self.variant is not None:
            own |= {"rounds": self.training.rounds} | branch_settings(self.arm, self.shown()["variant"])
        return own


def branch_settings(arm: str, variant: Mapping[str, Any]) -> dict[str, Any]:
    """What of a variant, as plain values, tells a branch from the others of its trunk."""
    names = ("lr_scale", "threshold_percent", "passes", "period") if arm == "relabeled" else ("lr_scale",)
    own = {name: variant[name] for name in names}
    if (treatment := variant.get("treatment")) is not None:  # the branch that keeps its labels knows little of it
        own["treatment"] = treatment if arm == "relabeled" else {"after": treatment.get("after", 0)}
    return own


def expand(study: Study, data_sha256: str) -> Iterator[Cell]:
    """Every cell of a study, each key once, in the order in which they are best run: seed by seed, trunk first."""
    seen: set[str] = set()
    for cell in _all(study, data_sha256):
        if cell.key not in seen:
            seen.add(cell.key)
            yield cell


def _all(study: Study, data_sha256: str) -> Iterator[Cell]:
    for setting in study.setting:
        for seed in study.seeds:

            def cell(method: str, arm: Arm, variant: Variant | None, start: int) -> Cell:
                known = (study.data.name, data_sha256, study.model, setting, study.training)  # noqa: B023
                return Cell(*known, method=method, arm=arm, start=start, variant=variant, seed=seed)  # noqa: B023

            for method in study.methods:
                for variant in study.variant:
                    if study.runs(method, seed) and _applies(variant, method, setting.name):
                        start = study.start(variant)
                        yield cell(method, "trunk", None, start)
                        yield cell(method, "kept", variant, start)
                        yield cell(method, "relabeled", variant, start)
            for reference in study.references:
                if study.runs(reference, seed):
                    yield cell(reference, "reference", None, 0)


def _applies(variant: Variant, method: str, setting: str) -> bool:
    return (not variant.methods or method in variant.methods) and (not variant.settings or setting in variant.settings)


def _digest(value: dict[str, Any]) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(as_first_named(text).encode()).hexdigest()[:16]


def as_first_named(text: str) -> str:
    """JSON with our models and losses as they were called before the package had a name, so that old results count."""
    return text.replace('"fedrela.study.', '"study.')
