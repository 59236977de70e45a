r"""Task: everything a round depends on. Written as TOML by an operator, sent as JSON to devices.

An unknown key or an impossible combination is an error at load.

    >>> task = from_toml('name = "digits"\nrounds = 20\n[relabel]\nstart = 0.8')
    >>> task.relabel.start_round(task.rounds)
    17
"""

import math
from dataclasses import dataclass, field
from typing import Literal

from fedrela.core import strict
from fedrela.core.errors import InvalidTask
from fedrela.core.hours import parse_hours
from fedrela.core.wire import Encoding


def _require(condition: bool, problem: str, remedy: str) -> None:
    if not condition:
        raise InvalidTask(problem, remedy=remedy)


@dataclass(frozen=True)
class LocalTraining:
    """What a device does in one client round."""

    epochs: int = 5
    batch_size: int = 8
    # Values for the program's hyperparameter inputs, by name; the manifest's defaults fill in the others.
    hyperparameters: dict[str, float] = field(default_factory=dict)
    max_steps: int = 0  # 0: as many as the epochs need
    # Which samples an epoch takes: each once in random order, or n draws with every local class equally likely.
    sampling: Literal["shuffle", "class-balanced"] = "shuffle"
    # Samples made on the device: none, mixtures of two, or SMOTE's interpolations that fill up local minorities.
    synthesis: Literal["none", "mixup", "smote"] = "none"

    def __post_init__(self) -> None:
        strict.check(self, InvalidTask, "local")
        _require(self.epochs >= 1, f"local.epochs is {self.epochs}", "train at least 1 epoch")
        _require(self.batch_size >= 1, f"local.batch_size is {self.batch_size}", "use a batch of at least 1")
        _require(self.max_steps >= 0, f"local.max_steps is {self.max_steps}", "use 0 for no limit")
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
    period: int = 0  # 0: once; k: again every k rounds, from the original labels
    threshold_percent: float = 5.0
    passes: int = 5  # predictions averaged, each under its own augmentation
    lr_scale: float = 0.1  # the learning rate is multiplied by this from the start round on

    def __post_init__(self) -> None:
        strict.check(self, InvalidTask, "relabel")
        fraction = isinstance(self.start, float) and 0 < self.start < 1
        whole = isinstance(self.start, int) and self.start >= 1
        _require(fraction or whole, f"relabel.start is {self.start}", "use a round >= 1 or a share between 0 and 1")
        _require(self.period >= 0, f"relabel.period is {self.period}", "use 0 for once")
        _require(
            0 <= self.threshold_percent <= 100,
            f"relabel.threshold_percent is {self.threshold_percent}",
            "choose a number from 0 to 100",
        )
        _require(self.passes >= 1, f"relabel.passes is {self.passes}", "use at least 1")
        _require(self.lr_scale > 0, f"relabel.lr_scale is {self.lr_scale}", "use a positive factor")

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
    goal: int = 10  # updates that close a round; asynchronous: the buffer size
    minimum: int = 1  # at the deadline: enough to aggregate; fewer fail the round, which is then tried again
    over_selection: float = 1.0  # assignments handed out per update wanted
    deadline_seconds: float = 600.0  # of a synchronous round
    compute_lease_seconds: float = 300.0  # from assignment to the start of the upload
    upload_lease_seconds: float = 60.0  # grace for the upload itself, after the compute lease
    retries: int = 3  # of one failed round, before the task is paused
    retry_after_seconds: float = 1.0  # base of the waiting time for a device that is not wanted now; jitter is added
    concurrency: int = 0  # asynchronous: open assignments at most; 0: twice the goal
    max_staleness: int = 20  # asynchronous: an update based on an older round is refused
    staleness_exponent: float = 0.5  # asynchronous: weight (1 + staleness) ** -exponent (FedBuff, arXiv 2106.06639)

    def __post_init__(self) -> None:
        strict.check(self, InvalidTask, "round")
        _require(self.goal >= 1, f"round.goal is {self.goal}", "ask for at least 1 update")
        _require(
            1 <= self.minimum <= self.goal,
            f"round.minimum is {self.minimum} and round.goal {self.goal}",
            "choose 1 <= minimum <= goal",
        )
        _require(self.over_selection >= 1, f"round.over_selection is {self.over_selection}", "use 1.0 or more")
        for name in ("deadline_seconds", "compute_lease_seconds", "upload_lease_seconds", "retry_after_seconds"):
            _require(getattr(self, name) > 0, f"round.{name} is {getattr(self, name)}", "use a positive time")
        for name in ("retries", "concurrency", "max_staleness", "staleness_exponent"):
            _require(getattr(self, name) >= 0, f"round.{name} is {getattr(self, name)}", "use 0 or more")


@dataclass(frozen=True)
class Aggregation:
    """How many updates become one, and how the global model moves by it."""

    rule: Literal["mean", "median", "trimmed-mean", "multi-krum"] = "mean"
    weight_by_examples: bool = True  # mean only; robust rules never trust a claimed number
    max_examples: int = 10_000  # a device that claims more counts as this many
    clip_norm: float = 0.0  # 0: no clipping; else each update's L2 norm is clipped to this first
    trim_fraction: float = 0.2  # trimmed-mean: share dropped at each end
    byzantine_fraction: float = 0.2  # multi-krum: share of devices assumed byzantine
    server_optimizer: Literal["fedavg", "fedavgm", "fedadam", "fedyogi"] = "fedavg"
    server_lr: float = 1.0
    server_momentum: float = 0.9  # fedavgm; beta1 of fedadam and fedyogi
    server_beta2: float = 0.99
    server_epsilon: float = 1e-3
    encoding: Encoding = "float32"  # of an update on its way up
    top_k_fraction: float = 0.1

    def __post_init__(self) -> None:
        strict.check(self, InvalidTask, "aggregation")
        _require(self.max_examples >= 1, f"aggregation.max_examples is {self.max_examples}", "use at least 1")
        _require(self.clip_norm >= 0, f"aggregation.clip_norm is {self.clip_norm}", "use 0 for no clipping")
        for name in ("trim_fraction", "byzantine_fraction"):
            _require(
                0 <= getattr(self, name) < 0.5, f"aggregation.{name} is {getattr(self, name)}", "use 0 up to below 0.5"
            )
        _require(self.server_lr > 0, f"aggregation.server_lr is {self.server_lr}", "use a positive rate")
        for name in ("server_momentum", "server_beta2"):
            _require(
                0 <= getattr(self, name) < 1, f"aggregation.{name} is {getattr(self, name)}", "use 0 up to below 1"
            )
        _require(self.server_epsilon > 0, "aggregation.server_epsilon is not positive", "use a small positive number")
        _require(0 < self.top_k_fraction <= 1, "aggregation.top_k_fraction is out of range", "use (0, 1]")


@dataclass(frozen=True)
class Eligibility:
    """What a device must meet before and while it trains; checked on the device, never reported."""

    require_mains_or_battery_percent: float = 0.0  # on mains, or at least this much battery; 0: never mind
    require_unmetered_network: bool = False
    max_cpu_celsius: float = 0.0  # 0: never mind
    refuse_when_throttled: bool = False
    max_load_per_core: float = 0.0  # 0: never mind
    min_free_disk_bytes: int = 0
    min_free_memory_bytes: int = 0
    min_examples: int = 1
    hours: str = ""  # local time, "22:00-06:00"; empty: any
    min_client_version: str = ""  # inclusive; checked by the coordinator too
    max_client_version: str = ""  # inclusive
    device_fraction: float = 1.0  # share of the population that may take part in a round
    min_separation_seconds: float = 0.0  # between two client rounds of one device

    def __post_init__(self) -> None:
        strict.check(self, InvalidTask, "eligibility")
        percent = self.require_mains_or_battery_percent
        _require(
            0 <= percent <= 100,
            f"eligibility.require_mains_or_battery_percent is {percent}",
            "use a number from 0 to 100",
        )
        at_least_0 = ("max_cpu_celsius", "max_load_per_core", "min_free_disk_bytes", "min_free_memory_bytes")
        for name in (*at_least_0, "min_separation_seconds"):
            _require(getattr(self, name) >= 0, f"eligibility.{name} is {getattr(self, name)}", "use 0 or more")
        _require(0 < self.device_fraction <= 1, f"eligibility.device_fraction is {self.device_fraction}", "use (0, 1]")
        _require(self.min_examples >= 1, f"eligibility.min_examples is {self.min_examples}", "use at least 1")
        if self.hours:
            parse_hours(self.hours, "eligibility.hours", InvalidTask)


@dataclass(frozen=True)
class Task:
    """One federated training job."""

    name: str
    rounds: int
    population: str = "default"
    seed: int = 0  # of shuffles, augmentation and re-label draws; tasks with one seed pair up draw by draw
    local_evaluation: bool = False  # ask devices for totals on their hold-out; the owner must allow it too
    local: LocalTraining = field(default_factory=LocalTraining)
    relabel: Relabel = field(default_factory=Relabel)
    round: Rounds = field(default_factory=Rounds)
    aggregation: Aggregation = field(default_factory=Aggregation)
    eligibility: Eligibility = field(default_factory=Eligibility)

    def __post_init__(self) -> None:
        strict.check(self, InvalidTask)
        for key in ("name", "population"):
            text = getattr(self, key)
            clean = text.replace("-", "").replace("_", "").replace(".", "")
            _require(
                0 < len(text) <= 100 and clean.isalnum() and clean.isascii(),
                f"{key} is {text!r}",
                "use 1 to 100 letters, digits, '-', '_' and '.'",
            )
        _require(self.rounds >= 1, f"rounds is {self.rounds}", "run at least 1 round")
        _require(self.seed >= 0, f"seed is {self.seed}", "use 0 or more")
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
        return self.relabel.lr_scale if self.relabel.generation(round_number, self.rounds) else 1.0


def from_toml(text: str) -> Task:
    """Read a task file. Raises InvalidTask naming the key at fault."""
    return strict.from_toml(Task, text, InvalidTask, "task")
