"""The owner's choices, and the progress that a device tells its owner.

>>> DeviceSettings(max_steps=100).checkpoint_steps
20
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from fedrela.core import strict
from fedrela.core.errors import InvalidInput
from fedrela.core.task import Eligibility
from fedrela.edge.secure.requirement import PrivacyRequirement


@dataclass(frozen=True)
class DeviceSettings:
    """The owner's choices. Both they and the task's conditions must hold before a device trains."""

    eligibility: Eligibility = field(default_factory=Eligibility)
    privacy: PrivacyRequirement = field(default_factory=PrivacyRequirement)
    checkpoint_steps: int = 20  # the training state is kept every so many steps; 0: never
    check_seconds: float = 5.0  # between two looks at the sensors while training
    pause_seconds: float = 10.0  # between two looks while training is paused
    max_steps: int = 0  # of one client round; 0: as many as the task asks for
    max_seconds: float = 14_400.0  # of training in one client round, pauses left out; 0: as long as the lease lasts
    holdout_fraction: float = 0.0  # of the examples, never trained on
    allow_evaluation: bool = False  # may totals over the hold-out be reported where a task asks
    metered_network: bool | None = None  # what the owner knows of the network; None: find out
    keep_sent_log: bool = True  # what left this device, and when
    keep_sent_bodies: bool = True  # with it, for `fedrela device show-upload`
    max_download_bytes: int = 1_000_000_000  # of one file
    max_state_bytes: int = 4_000_000_000  # of everything that is kept of tasks
    max_tasks: int = 8  # whose programs are kept; the least recently used goes first
    require_sandbox: bool = False  # refuse to run where the system can't confine a program
    max_step_seconds: float = 300.0  # of one training step or prediction; its process is ended then
    max_memory_bytes: int = 0  # of the process that runs programs; 0: half of this machine's memory

    def __post_init__(self) -> None:
        strict.check(self, InvalidInput)
        for name in ("checkpoint_steps", "check_seconds", "max_steps", "max_seconds", "max_memory_bytes"):
            if getattr(self, name) < 0:
                raise InvalidInput(f"{name} is {getattr(self, name)}", remedy="use 0 or more")
        for name in ("pause_seconds", "max_download_bytes", "max_state_bytes", "max_tasks", "max_step_seconds"):
            if getattr(self, name) <= 0:
                raise InvalidInput(f"{name} is {getattr(self, name)}", remedy="use more than 0")
        if not 0 <= self.holdout_fraction < 1:
            raise InvalidInput(f"holdout_fraction is {self.holdout_fraction}", remedy="use 0 up to below 1")


def load(path: Path | None) -> DeviceSettings:
    """The owner's settings from a TOML file; the defaults without one. Raises InvalidInput naming the key at fault."""
    if path is None:
        return DeviceSettings()
    text = strict.toml_text(path, InvalidInput, "settings")
    return strict.from_toml(DeviceSettings, text, InvalidInput, "settings")


EventKind = Literal[
    "assigned", "ready", "self-tested", "data", "relabeled", "step", "paused", "resumed", "trained", "group",
    "uploaded", "dropped", "new-key", "new-epoch",
]  # fmt: skip


@dataclass(frozen=True)
class Event:
    """Progress, for whoever embeds a client. Nothing of it is sent anywhere."""

    kind: EventKind
    task_id: str
    round: int
    step: int = 0
    steps: int = 0
    loss: float = 0.0  # mean over the batch
    detail: str = ""


@dataclass(frozen=True)
class Outcome:
    """How an assignment ended. `reason`: of a wait, a failure or a refusal."""

    kind: Literal["uploaded", "waiting", "dropped", "stopped"]
    reason: str = ""
    retry_after_seconds: float = 0.0
    round: int = 0
    duplicate: bool = False
