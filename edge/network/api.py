"""The HTTP calls of a device, as `fedrela.core.wire` names them. Answers are checked before they are used.

api = CoordinatorApi(httpx.Client(timeout=30), "https://fl.example.org", token="...")
answer = api.check_in(CheckIn("default", "python 0.2.0", ("onnx 1.32.0",), secrets.token_hex(16)))
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from fedrela.core import strict
from fedrela.core.errors import InvalidMessage
from fedrela.core.protocol import task_json
from fedrela.core.protocol.key_chain import KeyChain
from fedrela.core.secure.messages import SecureStep
from fedrela.core.task import Task
from fedrela.core.wire import (
    TENSORS_TYPE,
    UPLOAD_TOKEN_HEADER,
    Assignment,
    CheckIn,
    CheckInResponse,
    EnrollRequest,
    EnrollResponse,
    EvaluationReport,
    FailureReport,
    UpdateReceipt,
)
from fedrela.edge.network.download import download
from fedrela.edge.network.transport import Retry, Sent, Transport, printable
from fedrela.edge.storage.state import Identity
from fedrela.edge.storage.store import Store

__all__ = ["CoordinatorApi", "Retry", "Sent"]

T = TypeVar("T")

JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class OpenTask:
    """A task of a population: its settings as JSON."""

    task: str


@dataclass(frozen=True)
class OpenTasks:
    """The tasks that are not over."""

    tasks: tuple[OpenTask, ...]


def _nothing(body: bytes) -> None:
    """The body of an answer that has none. Raises InvalidMessage: a log-in page, say, is no coordinator's word."""
    if body:
        raise InvalidMessage("what answered is no coordinator", remedy="check the network: is there a log-in page?")


class CoordinatorApi(Transport):
    """The calls of one device; see `Transport` for what it is made of."""

    def act_as(self, identity: Identity) -> None:
        """Speak to the coordinator of a device, with its token and its key."""
        self.url, self.token, self.private_key = identity.url, identity.device_token, identity.private_key

    def enroll(self, request: EnrollRequest) -> EnrollResponse:
        """Exchange an enrollment token for a device token. Repeating it with the same key is safe."""
        return self._post("/v1/devices", request, lambda body: strict.from_json(EnrollResponse, body))

    def open_tasks(self, enrollment_token: str) -> tuple[Task, ...]:
        """What a device that enrolled with this token could be asked to do. Nothing of the device is sent."""
        headers = {"Authorization": f"Bearer {enrollment_token}"}
        answer = self.call("GET", "/v1/tasks", b"", headers, lambda body: strict.from_json(OpenTasks, body))
        return tuple(task_json.decode(item.task) for item in answer.tasks)

    def check_in(self, request: CheckIn) -> CheckInResponse:
        """Offer to work. Raises InvalidMessage for an answer that is not exactly one of assignment and wait."""
        return self._post("/v1/check-ins", request, lambda body: strict.from_json(CheckInResponse, body))

    def blob(self, sha256: str, partial: Store, *, limit_bytes: int) -> bytes:
        """Download a blob, going on from what `partial` has of it; see `fedrela.edge.network.download`."""
        return download(self, sha256, partial, limit_bytes=limit_bytes)

    def update(self, assignment: Assignment, body: bytes | bytearray) -> UpdateReceipt:
        """Upload an update. The same body may be sent any number of times and counts once."""
        headers = {"Content-Type": TENSORS_TYPE, UPLOAD_TOKEN_HEADER: assignment.upload_token}
        path = f"/v1/assignments/{assignment.assignment_id}/update"
        return self.call("PUT", path, body, headers, lambda answer: strict.from_json(UpdateReceipt, answer))

    def failure(self, assignment: Assignment, report: FailureReport) -> None:
        """Give the slot back."""
        self._post(f"/v1/assignments/{assignment.assignment_id}/failure", report, _nothing)

    def evaluation(self, assignment: Assignment, report: EvaluationReport) -> None:
        """Report totals over the hold-out."""
        self._post(f"/v1/assignments/{assignment.assignment_id}/evaluation", report, _nothing)

    def secure(self, assignment: Assignment, kind: str, message: object) -> None:
        """Send a message of a group's session: "keys", "shares", "agreement" or "reveal". Repeating it is safe."""
        path = f"/v1/assignments/{assignment.assignment_id}/secure/{kind}"
        self.call("PUT", path, strict.to_json(message), JSON, _nothing)

    def secure_step(self, assignment: Assignment) -> SecureStep:
        """What this device is to do next in its group. Raises InvalidMessage for what is no step."""
        path = f"/v1/assignments/{assignment.assignment_id}/secure"
        step = self.call("GET", path, b"", {}, lambda body: strict.from_json(SecureStep, body))
        return replace(step, reason=printable(step.reason)) if step.reason else step

    def leave(self) -> None:
        """Tell the coordinator to forget this device."""
        self.call("DELETE", "/v1/devices/self", b"", {}, _nothing)

    def keys(self) -> KeyChain:
        """How the coordinator came by its present key."""
        return self.call("GET", "/v1/keys", b"", {}, lambda body: strict.from_json(KeyChain, body))

    def _post(self, path: str, message: object, parse: Callable[[bytes], T]) -> T:
        return self.call("POST", path, strict.to_json(message), JSON, parse)
