r"""Task: everything a round depends on. Written as TOML by an operator, sent as JSON to devices.

An unknown key in a file or an impossible combination is an error at load. How a task travels is in
`fedrela.core.protocol.task_json`.

    >>> task = from_toml('name = "digits"\nrounds = 20\n[relabel]\nstart = 0.8')
    >>> task.relabel.start_round(task.rounds)
    17
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from fedrela.core import lr_schedule, strict
from fedrela.core.errors import InvalidTask
from fedrela.core.hours import parse_hours
from fedrela.core.lr_schedule import LrSchedule
from fedrela.core.privacy import Privacy, completed
from fedrela.core.protocol import requirements
from fedrela.core.protocol.limits import Between, Features, Length, Name, Natural, Text, Version
from fedrela.core.strict import Former, shown
from fedrela.core.wire import CLIENT_NAME, Encoding

MILLION = 1_000_000
SMALLEST_COHORT = 5  # devices whose updates make a new global model, where a task says nothing
LONGEST_SECONDS = 2**32
LONGEST_SEED = 10**100  # exclusive

Rate = Annotated[float, Between(0, MILLION, above=True)]
BelowHalf = Annotated[float, Between(0, 0.5, below=True)]
BelowOne = Annotated[float, Between(0, 1, below=True)]
Share = Annotated[float, Between(0, 1, above=True)]
UpToAMillion = Annotated[int, Between(0, MILLION)]
FromOneToAMillion = Annotated[int, Between(1, MILLION)]
LeaseSeconds = Annotated[float, Between(0, LONGEST_SECONDS, above=True)]
# By a client's name ("python", "page", "android"); "any": every client that isn't named.
ClientVersions = Annotated[dict[Annotated[str, Text(CLIENT_NAME, "a client's name, or any")], Version], Length(0, 20)]


def _require(condition: bool, problem: str, remedy: str) -> None:
    if not condition:
        raise InvalidTask(problem, remedy=remedy)


@dataclass(frozen=True)
class LocalTraining:
    """What a device does in one client round."""

    epochs: Annotated[int, Between(1, 10_000)] = 5
    batch_size: FromOneToAMillion = 8
    # Values for the program's hyperparameter inputs, by name; the manifest's defaults fill in the others.
    hyperparameters: Annotated[dict[str, float], Length(0, 100)] = field(default_factory=dict)
    max_steps: Annotated[int, Between(0, 1_000_000_000)] = 0  # 0: as many as the epochs need
    # Which samples an epoch takes: each once in random order, or n draws with every local class equally likely.
    sampling: Literal["shuffle", "class-balanced"] = "shuffle"
    # Samples made on the device: none, mixtures of two, or SMOTE's interpolations that fill up local minorities.
    synthesis: Literal["none", "mixup", "smote"] = "none"
    lr_schedule: LrSchedule = "constant"  # over the task's rounds; relabel.lr_scale comes on top

    def __post_init__(self) -> None:
        strict.check(self, InvalidTask, "local")
        _require(
            self.synthesis != "smote" or self.sampling == "class-balanced",
            'local.synthesis "smote" fills up minorities, and local.sampling "shuffle" leaves them small',
            'set local.sampling = "class-balanced"',
        )


@dataclass(frozen=True)
class Relabel:
    """FedReLa's settings; `enabled = false` is plain federated averaging."""

    enabled: bool = True
    start: int | float = 0.8  # a whole number: the round (from 1); a fraction in (0, 1): after this share of the rounds
    period: UpToAMillion = 0  # 0: once; k: again every k rounds, from the original labels
    threshold_percent: Annotated[float, Between(0, 100)] = 5.0
    passes: Annotated[int, Between(1, 1000)] = 5  # predictions averaged, each under its own augmentation
    lr_scale: Rate = 0.1  # the learning rate is multiplied by this from the start round on

    def __post_init__(self) -> None:
        strict.check(self, InvalidTask, "relabel")
        fraction = isinstance(self.start, float) and 0 < self.start < 1
        whole = isinstance(self.start, int) and 1 <= self.start <= MILLION
        said = f"relabel.start is {shown(self.start)}"
        _require(fraction or whole, said, "use a round >= 1 or a share between 0 and 1")

    def start_round(self, rounds: int) -> int:
        """The first round (from 1) that trains on re-labels: after `start` of all rounds, or round `start` itself."""
        return self.start if isinstance(self.start, int) else math.floor(self.start * rounds) + 1

    def generation(self, round_number: int, rounds: int) -> int:
        """Which re-labeling a round trains on: 0 before the start, 1 from the start on, one more after each period.

        A device re-labels when the generation of its round differs from that of its overlay, so a device whose first
        first round comes after the start re-labels then.
        """
        since = round_number - self.start_round(rounds)
        if not self.enabled or since < 0:
            return 0
        return 1 + (since // self.period if self.period else 0)


@dataclass(frozen=True)
class Rounds:
    """How the coordinator runs a round. All times in seconds."""

    mode: Literal["synchronous", "asynchronous"] = "synchronous"
    goal: FromOneToAMillion = 10  # updates that close a round; asynchronous: the buffer size
    minimum: FromOneToAMillion = 1  # at the deadline: enough, and never below smallest_cohort; fewer fail the round
    over_selection: Annotated[float, Between(1, 100)] = 1.0  # assignments handed out per update wanted
    deadline_seconds: Annotated[float, Between(0, LONGEST_SECONDS, above=True)] = 600.0  # of a synchronous round
    compute_lease_seconds: LeaseSeconds = 300.0  # from assignment to the start of the upload
    upload_lease_seconds: LeaseSeconds = 60.0  # grace for the upload itself, after the compute lease
    retries: Annotated[int, Between(0, 1000)] = 3  # of one failed round, before the task is paused
    # Base of the waiting time for a device that is not wanted now; jitter is added.
    retry_after_seconds: Annotated[float, Between(0, 86_400, above=True)] = 1.0
    concurrency: UpToAMillion = 0  # asynchronous: open assignments at most; 0: twice the goal
    max_staleness: UpToAMillion = 20  # asynchronous: an update based on an older round is refused
    # Asynchronous: weight (1 + staleness) ** -exponent (FedBuff, arXiv 2106.06639).
    staleness_exponent: Annotated[float, Between(0, 100)] = 0.5
    # No round is committed from the updates of fewer devices, whatever goal, minimum and mode say: who subtracts two
    # global models would hold the update of one. A task that needs less says so itself, and owners are told.
    smallest_cohort: FromOneToAMillion = SMALLEST_COHORT

    def __post_init__(self) -> None:
        strict.check(self, InvalidTask, "round")
        _require(
            self.minimum <= self.goal,
            f"round.minimum is {self.minimum} and round.goal {self.goal}",
            "choose 1 <= minimum <= goal",
        )
        _require(
            self.smallest_cohort <= self.goal,
            f"round.goal is {self.goal}, and a round needs the updates of at least {self.smallest_cohort} devices",
            f"raise it, or write round.smallest_cohort = {self.goal}: each device's owner is told so before enrolling",
        )


@dataclass(frozen=True)
class Aggregation:
    """How many updates become one, and how the global model moves by it."""

    rule: Literal["mean", "median", "trimmed-mean", "multi-krum"] = "mean"
    weight_by_examples: bool = True  # mean only; robust rules never trust a claimed number
    max_examples: Annotated[int, Between(1, 1_000_000_000)] = 10_000  # a device that claims more counts as this many
    clip_norm: Annotated[float, Between(0, 1e30)] = 0.0  # 0: none; else each update's L2 norm is clipped to this first
    trim_fraction: BelowHalf = 0.2  # trimmed-mean: share dropped at each end
    byzantine_fraction: BelowHalf = 0.2  # multi-krum: share of devices assumed byzantine
    server_optimizer: Literal["fedavg", "fedavgm", "fedadam", "fedyogi"] = "fedavg"
    server_lr: Rate = 1.0
    server_momentum: BelowOne = 0.9  # fedavgm; beta1 of fedadam and fedyogi
    server_beta2: BelowOne = 0.99
    server_epsilon: Rate = 1e-3
    encoding: Encoding = "float32"  # of an update on its way up
    top_k_fraction: Share = 0.1

    def __post_init__(self) -> None:
        strict.check(self, InvalidTask, "aggregation")


@dataclass(frozen=True)
class Eligibility:
    """What a device must meet before and while it trains; checked on the device, never reported."""

    FORMER_KEYS: ClassVar[dict[str, Former]] = {
        "require_mains_or_battery_percent": Former("min_battery_percent"),
        "min_client_version": Former("min_client_versions", lambda version: {"any": version} if version else {}),
        "max_client_version": Former("max_client_versions", lambda version: {"any": version} if version else {}),
    }
    min_battery_percent: Annotated[float, Between(0, 100)] = 0.0  # charging, or at least this charge; 0: never mind
    require_unmetered_network: bool = False
    max_cpu_celsius: Annotated[float, Between(0, 1000)] = 0.0  # 0: never mind
    refuse_when_throttled: bool = False
    max_load_per_core: Annotated[float, Between(0, 1000)] = 0.0  # 0: never mind
    min_free_disk_bytes: Natural = 0
    min_free_memory_bytes: Natural = 0
    min_examples: Annotated[int, Between(1, 1_000_000_000)] = 1
    hours: str = ""  # local time, "22:00-06:00"; empty: any
    min_client_versions: ClientVersions = field(default_factory=dict)  # inclusive; checked by the coordinator
    max_client_versions: ClientVersions = field(default_factory=dict)  # inclusive
    device_fraction: Share = 1.0  # share of the population that may take part in a round
    # Between two client rounds of one device.
    min_separation_seconds: Annotated[float, Between(0, LONGEST_SECONDS)] = 0.0

    def __post_init__(self) -> None:
        strict.check(self, InvalidTask, "eligibility")
        if self.hours:
            parse_hours(self.hours, "eligibility.hours", InvalidTask)


@dataclass(frozen=True)
class Task:
    """One federated training job."""

    name: Name
    rounds: FromOneToAMillion
    population: Name = "default"
    seed: int = 0  # of shuffles, augmentation and re-label draws; tasks with one seed pair up draw by draw
    local_evaluation: bool = False  # ask devices for totals on their hold-out; the owner must allow it too
    local: LocalTraining = field(default_factory=LocalTraining)
    relabel: Relabel = field(default_factory=Relabel)
    round: Rounds = field(default_factory=Rounds)
    aggregation: Aggregation = field(default_factory=Aggregation)
    eligibility: Eligibility = field(default_factory=Eligibility)
    privacy: Privacy = field(default_factory=Privacy)
    requires: Features = ()  # what a client must understand beyond the base of the protocol, to take part at all

    def __post_init__(self) -> None:
        strict.check(self, InvalidTask)
        _require(0 <= self.seed < LONGEST_SEED, f"seed is {shown(self.seed)}", "use 0 or more, and at most 100 digits")
        _require(
            self.local.lr_schedule == "constant" or requirements.LR_SCHEDULE in self.requires,
            f"local.lr_schedule is {self.local.lr_schedule!r}, which older clients would overlook",
            f"add {requirements.LR_SCHEDULE!r} to requires",
        )
        _require(
            not self.relabel.enabled or self.relabel.start_round(self.rounds) <= self.rounds,
            f"relabel.start {self.relabel.start} lies after the last round {self.rounds}",
            "start earlier, run more rounds, or set relabel.enabled = false",
        )
        _require(
            self.round.mode == "synchronous" or self.aggregation.rule == "mean",
            f"aggregation.rule {self.aggregation.rule!r} needs a whole cohort at once",
            'use round.mode = "synchronous" or aggregation.rule = "mean"',
        )

    def lr_factor(self, round_number: int) -> float:
        """What the learning rate is multiplied by in a round."""
        scheduled = lr_schedule.factor(self.local.lr_schedule, round_number, self.rounds)
        return scheduled * self.relabel.lr_scale if self.relabel.generation(round_number, self.rounds) else scheduled


def from_toml(text: str, *, trial: bool = False) -> Task:
    """Read a task file; `trial`: as `for_trial` completes it. Raises InvalidTask naming the key at fault."""
    complete = for_trial if trial else requirements.complete
    return strict.from_toml(Task, text, InvalidTask, "task", complete=lambda values: completed(complete(values)))


def for_trial(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a task whose devices are all one's own: a small goal is meant, and written as smallest_cohort."""
    whole = requirements.complete(values)
    rounds = whole.get("round")
    if not isinstance(rounds, Mapping) or "smallest_cohort" in rounds or "goal" not in rounds:
        return whole
    goal = rounds["goal"]
    small = type(goal) is int and 1 <= goal < SMALLEST_COHORT
    return {**whole, "round": {**rounds, "smallest_cohort": goal}} if small else whole
