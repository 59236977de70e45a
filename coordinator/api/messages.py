"""The admin API's messages: frozen dataclasses, like those of `fedrela.core.wire`."""

from dataclasses import dataclass
from typing import Annotated

from fedrela.core.protocol.limits import Between, Sha256
from fedrela.core.protocol.seals import Seal
from fedrela.core.task import Task


@dataclass(frozen=True)
class PublishRequest:
    """A task on a bundle whose blobs are stored already."""

    task: Task
    seal: Seal  # of the bundle
    checkpoint_sha256: Sha256  # the weights to begin with: the bundle's, or others that fit


@dataclass(frozen=True)
class PublishResponse:
    """The new task."""

    task_id: str


@dataclass(frozen=True)
class RollbackRequest:
    """Take a task back to the model of a committed round; 0: to its start weights."""

    to_round: Annotated[int, Between(0, 2**31 - 1)]


@dataclass(frozen=True)
class RollbackResponse:
    """The round that begins from it."""

    round: int


@dataclass(frozen=True)
class ServerResponse:
    """What a client of operators asks first. `dev`: a trial, whose devices are the operator's own.

    `public_url`: what devices call this coordinator, where that was set. `features`: what tasks may ask of it that the
    first version couldn't do.
    """

    dev: bool
    public_url: str = ""
    features: tuple[str, ...] = ()


@dataclass(frozen=True)
class AccuracyReport:
    """Accuracy of a round's model on the operator's own test set, shares in 0..1. No device has a part in it.

    Many, medium and few are groups of classes that the operator names; None where none were named.
    """

    overall: float
    examples: int
    many: float | None = None
    medium: float | None = None
    few: float | None = None


@dataclass(frozen=True)
class TokenRequest:
    """An enrollment token for at most `max_uses` devices, which run programs of these publishers."""

    population: str = "default"
    max_uses: int = 1
    valid_seconds: float = 86400.0
    publishers: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClockRequest:
    """Virtual clock: the new time. It never goes back."""

    now_seconds: float


@dataclass(frozen=True)
class CollectRequest:
    """Delete blobs that no task needs. `dry_run` only lists them."""

    dry_run: bool = True
    min_age_seconds: float = 3600.0


@dataclass(frozen=True)
class BlobReceipt:
    """A stored blob."""

    sha256: str
    size_bytes: int
