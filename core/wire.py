"""The HTTP messages between devices and the coordinator: frozen dataclasses, JSON by `fedrela.core.strict`.

Tensors never travel in JSON: weights and updates are safetensors bodies, programs and manifests are blobs named by
their SHA-256. No message has a field for a label, a class, a class count, a re-label count, a file name or a sample.

    device                                            coordinator
      POST   /v1/devices            EnrollRequest   ->   EnrollResponse
      POST   /v1/check-ins          CheckIn        ->   CheckInResponse (an assignment, or when to come back)
      GET    /v1/blobs/{sha256}     Range, ETag    ->   bytes
      PUT    /v1/assignments/{id}/update           ->   UpdateReceipt     body: safetensors, see UpdateMetadata
      POST   /v1/assignments/{id}/failure  FailureReport  ->  204
      POST   /v1/assignments/{id}/evaluation  EvaluationReport  ->  204   only if the task asks and the owner allows
      .../v1/assignments/{id}/secure               see `fedrela.core.secure.messages`
      DELETE /v1/devices/self                      ->   204
      GET    /v1/keys                              ->   KeyChain   where the pinned key doesn't fit any more

Every request but the enrollment carries `Authorization: Bearer <device token>` and the signature of the device's key
(`fedrela.core.protocol.signed_requests`); an update also carries `Fedrela-Upload-Token`. Errors are `Problem`s.
Members that a reader doesn't know it ignores, so that an app of today works with a coordinator of tomorrow.

    >>> CheckIn("default", "python 0.2.0", ("onnx 1.32.0",), nonce="0f" * 16).protocol
    1
"""

import re
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from fedrela.core.errors import InvalidMessage
from fedrela.core.privacy import SECURE_FEATURE
from fedrela.core.protocol.limits import (
    SAFE_WHOLE,
    VERSION_PATTERN,
    Between,
    Exactly,
    Features,
    Id,
    Length,
    Millionths,
    Name,
    PublicKey,
    Sha256,
    Text,
    Token,
)
from fedrela.core.protocol.requirements import LR_SCHEDULE
from fedrela.core.protocol.seals import Seal
from fedrela.core.secure.messages import Certificate

PROTOCOL = 1
FEATURES: tuple[str, ...] = (LR_SCHEDULE, SECURE_FEATURE)  # what tasks and manifests may require of this version
UPLOAD_TOKEN_HEADER = "Fedrela-Upload-Token"
PROBLEM_TYPE, TENSORS_TYPE = "application/problem+json", "application/vnd.safetensors"

Encoding = Literal["float32", "float16", "int8", "top-k"]
FailureCode = Literal[
    "not-eligible", "training-failed", "self-test-failed", "timed-out", "integrity-failed", "model-unusable"
]
WaitReason = Literal[
    "no-task", "round-full", "reported", "too-soon", "not-selected", "set-aside", "version", "runtime", "paused",
    "finished",
]  # fmt: skip
CLIENT_NAME = "[a-z][a-z0-9-]{0,31}"
ProtocolVersion = Annotated[int, Exactly(PROTOCOL, "update the older side")]
LeaseSeconds = Annotated[float, Between(0, 2**32)]
Nonce = Annotated[str, Text("[0-9a-f]{32}", "32 lower-case hexadecimal digits, new for each check-in")]
Client = Annotated[str, Text(f"{CLIENT_NAME} {VERSION_PATTERN}", 'a name and a version such as "python 0.2.0"')]
Runtime = Annotated[str, Text("[ -~]{1,100}", 'a name and a version such as "onnx 1.28.0"')]


def unknown_features(*requires: str) -> list[str]:
    """Those of the required features that this version doesn't understand, sorted."""
    return sorted(set(requires) - set(FEATURES))


def check_protocol(protocol: int) -> None:
    """Raise InvalidMessage unless both sides speak the same version."""
    if protocol != PROTOCOL:
        raise InvalidMessage(f"protocol version {protocol} is not {PROTOCOL}", remedy="update the older side")


def check_sha256_name(name: str) -> None:
    """Raise InvalidMessage unless `name` is 64 lower-case hexadecimal digits."""
    if not re.fullmatch(r"[0-9a-f]{64}", name):
        raise InvalidMessage("a blob name is not a SHA-256", remedy="use 64 lower-case hexadecimal digits")


@dataclass(frozen=True)
class EnrollRequest:
    """A device introduces itself with its link's token. `signature`: by its own key over `statements.enrollment`."""

    enrollment_token: Annotated[str, Length(0, 512)]
    public_key: Annotated[str, Length(0, 512)]  # the device's Ed25519 key, hexadecimal
    coordinator: Annotated[str, Length(0, 512)]  # the fingerprint in the link
    signature: Annotated[str, Length(0, 512)]
    certificate: Certificate | None = None  # of its fleet, if the link has a fleet's key; passed on to other members
    protocol: ProtocolVersion = PROTOCOL


@dataclass(frozen=True)
class EnrollResponse:
    """What the device keeps. `device_token` is shown once and stored by the coordinator as a hash only."""

    device_id: Id
    device_token: Token
    coordinator_public_key: PublicKey
    population: Name
    protocol: ProtocolVersion = PROTOCOL


@dataclass(frozen=True)
class CheckIn:
    """A device offers to work. `client` is "name version", `runtimes` are such pairs, best first.

    `features`: what the client understands beyond the base of the protocol. `nonce`: what makes this check-in unlike
    every other, so that no assignment but the answer to it is believed.
    """

    population: Name
    client: Client
    runtimes: Annotated[tuple[Runtime, ...], Length(0, 16)]
    nonce: Nonce
    features: Features = ()
    protocol: ProtocolVersion = PROTOCOL


@dataclass(frozen=True)
class Assignment:
    """One assignment of one device. Everything it needs is named by hash; `signature`: see `statements.assignment`.

    `epoch` counts how often the coordinator began anew from a backup: within one, a task's rounds never go back.
    """

    assignment_id: Id
    task_id: Annotated[str, Text("[A-Za-z0-9._-]{1,200}", "1 to 200 letters, digits, '-', '_' and '.'")]
    round: Annotated[int, Between(1, SAFE_WHOLE)]  # the global model it starts from is the checkpoint of round - 1
    task_sha256: Sha256  # the Task as JSON
    manifest_sha256: Sha256
    checkpoint_sha256: Sha256
    checkpoint_bytes: Annotated[int, Between(1, SAFE_WHOLE)]
    compute_lease_seconds: LeaseSeconds
    upload_lease_seconds: LeaseSeconds
    upload_token: Token
    epoch: Annotated[int, Between(1, SAFE_WHOLE)] = 1
    signature: Annotated[str, Length(0, 200)] = ""
    seal: Seal | None = None  # of the publisher who vouches for the programs; version 0.1 sent none
    clip_millionths: Millionths = 0  # see `fedrela.core.secure.clipping`; 0: what the task says


@dataclass(frozen=True)
class Wait:
    """The device is not wanted now; come back after this many seconds (jitter is already in it).

    A coordinator sends a `WaitReason`; one that a client doesn't know means "come back later".
    """

    retry_after_seconds: Annotated[float, Between(0, 1e9)]
    reason: Annotated[str, Length(1, 100)]

    def known_reason(self) -> WaitReason | Literal["later"]:
        """The reason, as far as this version knows it."""
        known: tuple[WaitReason, ...] = get_args(WaitReason)
        return next((reason for reason in known if reason == self.reason), "later")


@dataclass(frozen=True)
class CheckInResponse:
    """Exactly one of the two is set. Raises InvalidMessage otherwise."""

    assignment: Assignment | None = None
    wait: Wait | None = None
    protocol: ProtocolVersion = PROTOCOL

    def __post_init__(self) -> None:
        if (self.assignment is None) == (self.wait is None):
            raise InvalidMessage(
                "the coordinator's answer is not exactly one of assignment and wait", remedy="update the coordinator"
            )


@dataclass(frozen=True)
class UpdateMetadata:
    """The safetensors `__metadata__` of an update body, as strings. `examples` is the number of local examples."""

    examples: int
    encoding: Encoding = "float32"
    protocol: int = PROTOCOL

    def as_strings(self) -> dict[str, str]:
        """The form that safetensors stores."""
        return {"protocol": str(self.protocol), "examples": str(self.examples), "encoding": self.encoding}


def read_update_metadata(metadata: dict[str, str]) -> UpdateMetadata:
    """Parse the metadata of an update. Raises InvalidMessage for a missing, surplus or malformed entry."""
    if set(metadata) != {"protocol", "examples", "encoding"}:
        raise InvalidMessage(
            f"the update's metadata has the keys {sorted(metadata)}", remedy="send protocol, examples and encoding"
        )
    for key in ("protocol", "examples"):
        if not re.fullmatch(r"[0-9]{1,9}", metadata[key]):
            raise InvalidMessage(f"the update's {key} is {metadata[key][:20]!r}", remedy="send a whole number")
    check_protocol(int(metadata["protocol"]))
    examples = int(metadata["examples"])
    if examples < 1:
        raise InvalidMessage("the update claims no examples", remedy="train on at least one")
    encoding = metadata["encoding"]
    if encoding not in get_args(Encoding):
        raise InvalidMessage(f"the update's encoding is {encoding[:20]!r}", remedy="use the encoding of the task")
    return UpdateMetadata(examples, encoding)  # type: ignore[arg-type]


@dataclass(frozen=True)
class UpdateReceipt:
    """The update is stored durably. `duplicate`: it had been stored before, and counts once."""

    round: Annotated[int, Between(1, SAFE_WHOLE)]
    duplicate: bool = False
    protocol: ProtocolVersion = PROTOCOL


@dataclass(frozen=True)
class FailureReport:
    """Why a device gives its slot back."""

    code: FailureCode
    protocol: ProtocolVersion = PROTOCOL


@dataclass(frozen=True)
class EvaluationReport:
    """Totals over a device's hold-out; sent only if the task asks and the owner allows."""

    loss_sum: Annotated[float, Between(0, 1e15)]
    correct: Annotated[int, Between(0, 10**9)]
    examples: Annotated[int, Between(1, 10**9)]
    protocol: ProtocolVersion = PROTOCOL


@dataclass(frozen=True)
class Problem:
    """RFC 9457. `code` is stable and machine-readable; `remedy` says what to do."""

    title: str
    status: int
    code: str
    detail: str
    remedy: str
    type: str = "about:blank"
    retry_after_seconds: Annotated[float, Between(0, 1e9)] = 0.0
