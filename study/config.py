"""What a study depends on, written as TOML. An unknown key or an impossible combination is an error at load.

>>> from_toml('name = "small"').training.rounds
50
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from fedrela.core import strict
from fedrela.core.errors import InvalidInput
from fedrela.emulator.shipped_settings import ShippedSettings
from fedrela.study.methods import METHODS
from fedrela.study.treatments import Treatment


class InvalidStudy(InvalidInput):
    """A study file is malformed or asks for an impossible combination."""


def require(condition: bool, problem: str, remedy: str) -> None:
    """Raise InvalidStudy unless the condition holds."""
    if not condition:
        raise InvalidStudy(problem, remedy=remedy)


@dataclass(frozen=True)
class DatasetLocation:
    """Where the images are. Only `name` appears in results."""

    name: str = "digits"
    path: str = "digits"  # or a file or folder: see fedrela.study.data.datasets; relative to the study's file
    test_per_class: int = 40  # held out of every class, where the dataset has no test part of its own
    owners: tuple[str, ...] = ()  # of tables by owner: only these, by the names of their files; empty: all
    binary: bool = False  # of tables by owner: all classes but the first are one
    owner_column: str = ""  # of a single .csv: whose a row is; then the label is in `label_column`
    label_column: str = "label"


@dataclass(frozen=True)
class Model:
    """The classifier, as `fedrela export` takes it."""

    name: str = "small CNN"
    build: str = "fedrela.study.models:digits_cnn"
    input: str = "uint8:1x8x8"
    augment: tuple[str, ...] = ()


@dataclass(frozen=True)
class Setting:
    """How the training data are long-tailed and spread."""

    name: str
    profile: Literal["exponential", "step", "as-is"] = "exponential"
    imbalance: float = 50.0  # largest class : smallest class
    alpha: float = 0.3  # of the Dirichlet split; smaller is more skewed
    largest: int = 0  # samples of the largest class; 0: as many as every class could have
    devices: int = 10
    cohort: int = 0  # devices per round; 0: all
    classes_per_device: int = 0  # 0: Dirichlet; k: each device holds about k classes and lacks the others
    class_order: Literal["given", "drawn"] = "given"  # from the commonest to the rarest: as numbered, or by the seed
    people_fold: int = 0  # 0: samples are dealt out; k: owners are devices, and those of fold k are the test part
    people_folds: int = 4
    stratified: bool = False  # owners are devices; the test part is a quarter of each class of each, by the seed
    secure: bool = False  # the coordinator reads sums over the cohort alone, and every device weighs alike

    def __post_init__(self) -> None:
        require(self.imbalance >= 1, f"imbalance of {self.name!r} is {self.imbalance}", "use 1 or more")
        require(self.alpha > 0, f"alpha of {self.name!r} is {self.alpha}", "use a positive number")
        require(self.devices >= 1, f"devices of {self.name!r} is {self.devices}", "use at least 1")
        require(
            0 <= self.cohort <= self.devices,
            f"cohort of {self.name!r} is {self.cohort} of {self.devices} devices",
            "use 0 for all, or at most the number of devices",
        )
        require(
            0 <= self.people_fold <= self.people_folds,
            f"people_fold of {self.name!r} is {self.people_fold} of {self.people_folds}",
            "number the folds from 1",
        )
        require(
            not (self.stratified and self.people_fold),
            f"{self.name!r} is stratified and has a people_fold",
            "test on people never seen, or on samples of people who train",
        )
        for key in ("largest", "classes_per_device"):
            require(getattr(self, key) >= 0, f"{key} of {self.name!r} is negative", "use 0 or more")


@dataclass(frozen=True)
class Training:
    """Local training, the same for every method; `methods` says what a method changes."""

    rounds: int = 50  # in all
    epochs: int = 2
    batch_size: int = 32
    lr: float = 0.05
    momentum: float = 0.5
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        for key in ("rounds", "epochs", "batch_size"):
            require(getattr(self, key) >= 1, f"training.{key} is {getattr(self, key)}", "use at least 1")
        require(self.lr > 0, f"training.lr is {self.lr}", "use a positive rate")


@dataclass(frozen=True)
class Variant:
    """One way to re-label. A branch without re-labels, with the same start and `lr_scale`, is run beside it."""

    name: str = "FedReLa"
    start: int = 0  # rounds trained before; 0: 80 % of all
    threshold_percent: float = 5.0
    passes: int = 5
    lr_scale: float = 0.1
    period: int = 0
    methods: tuple[str, ...] = ()  # empty: every method of the study
    settings: tuple[str, ...] = ()  # empty: every setting of the study
    treatment: Treatment | None = None  # of the study's own loop, which trains both branches then; None: the fleet

    def __post_init__(self) -> None:
        require(0 <= self.threshold_percent <= 100, f"threshold of {self.name!r} is out of range", "use 0 to 100")
        require(self.passes >= 1, f"passes of {self.name!r} is {self.passes}", "use at least 1")
        require(self.lr_scale > 0, f"lr_scale of {self.name!r} is {self.lr_scale}", "use a positive factor")
        for key in ("start", "period"):
            require(getattr(self, key) >= 0, f"{key} of {self.name!r} is negative", "use 0 or more")
        if self.treatment:
            self._check(self.treatment)

    def _check(self, treatment: Treatment) -> None:
        """What the study's own loop can't do is refused."""
        program, name = METHODS.get(treatment.program), f"variant {self.name!r}"
        require(not self.period, f"{name} has a period and a treatment", "re-label again in the fleet, without one")
        require(
            not treatment.program or (program is not None and not program.model_suffix),
            f"{name} trains by {treatment.program}",
            "name a method that leaves the model as it is",
        )
        soft = treatment.relabels == "soft"
        require(not (soft and treatment.synthesis != "none"), f"{name} mixes soft labels", "synthesize from hard ones")
        hard = treatment.relabels == "hard" or treatment.most_percent == 100
        require(hard, f"{name} limits how many labels move, and draws none", 'set relabels = "hard"')
        knows = program is not None and program.knows_global_counts
        require(not treatment.epsilon or knows, f"{name} puts noise on counts that nothing uses", "drop its epsilon")


ReferenceName = Literal["centralised", "centralised-balanced"]


@dataclass(frozen=True)
class Study:
    """All runs of one study: setting x method x variant x seed, and references."""

    name: str
    title: str = ""
    seeds: tuple[int, ...] = (1, 2, 3)
    methods: tuple[str, ...] = ("fedavg",)
    references: tuple[ReferenceName, ...] = ()
    only_seeds: dict[str, tuple[int, ...]] = field(default_factory=dict)  # of a method or reference; others: all seeds
    data: DatasetLocation = field(default_factory=DatasetLocation)
    model: Model = field(default_factory=Model)
    training: Training = field(default_factory=Training)
    setting: tuple[Setting, ...] = (Setting("50:1, α 0.3"),)
    variant: tuple[Variant, ...] = (Variant(),)

    def __post_init__(self) -> None:
        require(bool(self.name) and self.name.replace("-", "").isalnum(), f"name is {self.name!r}", "use a-z, 0-9, -")
        require(bool(self.seeds), "there is no seed", "name at least one")
        require(bool(self.setting), "there is no setting", "leave [[setting]] out, or describe one")
        unknown = [name for name in self.methods if name not in METHODS]
        require(not unknown, f"there is no method {', '.join(unknown)}", f"choose among {', '.join(METHODS)}")
        for kind in ("setting", "variant"):
            names = [item.name for item in getattr(self, kind)]
            require(len(set(names)) == len(names), f"two {kind}s have the same name", "name each differently")
        for name, seeds in self.only_seeds.items():
            known = (*self.methods, *self.references)
            require(name in known, f"only_seeds names {name}", f"name one of {', '.join(known)}")
            unknown_seeds = [str(seed) for seed in seeds if seed not in self.seeds]
            require(
                not unknown_seeds,
                f"only_seeds.{name} names {', '.join(unknown_seeds)}",
                "name seeds that the study has",
            )
        for variant in self.variant:
            self._check(variant)

    def _check(self, variant: Variant) -> None:
        known = {setting.name for setting in self.setting}
        lost = [name for name in variant.methods if name not in self.methods]
        lost += [name for name in variant.settings if name not in known]
        require(not lost, f"variant {variant.name!r} names {', '.join(lost)}", "name what the study has")
        start = self.start(variant)
        require(
            1 <= start < self.training.rounds,
            f"variant {variant.name!r} starts after round {start} of {self.training.rounds}",
            "start earlier, or train for more rounds",
        )
        if variant.treatment:
            left, asked = self.training.rounds - start, variant.settings or known
            require(
                variant.treatment.after < left,
                f"variant {variant.name!r} changes nothing in its {left} rounds",
                "let its treatment's `after` be smaller",
            )
            beyond = [one.name for one in self.setting if one.name in asked and (one.cohort or one.secure)]
            require(
                not beyond,
                f"the study's own loop knows no cohorts and no secure rounds: {', '.join(beyond)}",
                f"let variant {variant.name!r} name other settings",
            )

    def start(self, variant: Variant) -> int:
        """How many rounds a variant's branch comes after."""
        return variant.start or int(0.8 * self.training.rounds)

    def runs(self, name: str, seed: int) -> bool:
        """Whether a method or reference is run with a seed."""
        return seed in self.only_seeds.get(name, self.seeds)


def from_toml(text: str) -> Study:
    """Read a study. Raises InvalidStudy naming the key at fault."""
    return strict.from_toml(Study, text, InvalidStudy, "study")


_SHIPPED = ShippedSettings("study", "fedrela.study", "settings", from_toml, InvalidStudy)


def shipped() -> tuple[str, ...]:
    """The names of those that come with the package."""
    return _SHIPPED.names()


def load(name_or_path: str) -> tuple[Study, Path]:
    """A study by the path of its file, or a shipped one by name; with the folder that its paths are relative to."""
    return _SHIPPED.load(name_or_path)
