"""The operator's half of the protocol, as far as an emulation needs it: publish, enrolment tokens, rounds, the clock.

May import httpx and `core`.

    operator = Operator(httpx.Client(), "http://127.0.0.1:8470", admin_key)
    task_id = operator.publish(bundle.read(folder), task)
"""

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

import httpx

from fedrela.core import signing
from fedrela.core.bundle import Bundle
from fedrela.core.errors import InvalidInput, Refused, Unavailable
from fedrela.core.partition import Accuracy
from fedrela.core.task import Task


@dataclass(frozen=True)
class Status:
    """Where a task stands."""

    status: str  # "running", "paused", "finished" or "cancelled"
    round: int  # the open one
    phase: str
    open: int
    reported: int
    problem: str
    deadline_at: float | None


@dataclass(frozen=True)
class Operator:
    """The admin API of one coordinator."""

    http: httpx.Client
    url: str
    admin_key: str

    def publish(self, bundle: Bundle, task: Task) -> str:
        """Store the bundle's blobs and open the task. Returns its id."""
        for sha256, body in bundle.blobs().items():
            self._call("PUT", f"/v1/admin/blobs/{sha256}", content=body)
        answer = self._call(
            "POST",
            "/v1/admin/tasks",
            json={
                "task": asdict(task),
                "manifest_sha256": bundle.seal.manifest_sha256,
                "checkpoint_sha256": bundle.seal.weights_sha256,
            },
        )
        return str(answer.json()["task_id"])

    def find(self, name_or_id: str) -> dict[str, Any]:
        """The task of that id, or the newest of that name. Raises InvalidInput."""
        tasks: list[dict[str, Any]] = self._items("/v1/admin/tasks", "tasks")
        found = [task for task in tasks if name_or_id in (task["task_id"], task["name"])]
        if not found:
            known = ", ".join(task["name"] for task in tasks) or "none"
            raise InvalidInput(f"there is no task {name_or_id!r}", remedy=f"publish it first; known tasks: {known}")
        return max(found, key=lambda task: float(task["created_at"]))

    def task(self, task_id: str) -> dict[str, Any]:
        """Everything the coordinator says of a task."""
        answer: dict[str, Any] = self._call("GET", f"/v1/admin/tasks/{task_id}").json()
        return answer

    def rounds(self, task_id: str) -> list[dict[str, Any]]:
        """The committed rounds."""
        return self._items(f"/v1/admin/tasks/{task_id}/rounds", "rounds")

    def report_accuracy(self, task_id: str, round_number: int, accuracy: Accuracy, examples: int) -> None:
        """Tell the coordinator how good a round's model is on `examples` of the operator's own."""
        shares = {name: getattr(accuracy, name) for name in ("overall", "many", "medium", "few")}
        report = {name: None if math.isnan(share) else share for name, share in shares.items()}
        path = f"/v1/admin/tasks/{task_id}/rounds/{round_number}/accuracy"
        self._call("PUT", path, json=report | {"examples": examples})

    def blob(self, sha256: str) -> bytes:
        """A blob whose bytes match its name."""
        body = self._call("GET", f"/v1/blobs/{sha256}").content
        signing.check_sha256(body, sha256, "a blob")
        return body

    def enrolment_token(self, population: str, uses: int) -> str:
        """A token that enrols `uses` devices."""
        request = {"population": population, "max_uses": uses, "valid_seconds": 10 * 365 * 86400.0}
        return str(self._call("POST", "/v1/admin/tokens", json=request).json()["enrolment_token"])

    def set_clock(self, now_seconds: float) -> float | None:
        """Move the virtual clock; returns its time, or None if this coordinator's clock is the real one."""
        try:
            answer = self._call("POST", "/v1/admin/clock", json={"now_seconds": now_seconds})
        except Refused as refusal:
            if refusal.status in (403, 404, 409):
                return None
            raise
        return float(answer.json()["now_seconds"])

    def _items(self, path: str, key: str) -> list[dict[str, Any]]:
        answer = self._call("GET", path).json()
        items: list[dict[str, Any]] = answer if isinstance(answer, list) else answer[key]
        return items

    def _call(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.admin_key}"}
        try:
            response = self.http.request(method, self.url + path, headers=headers, **arguments)
        except httpx.TransportError as error:
            raise Unavailable(
                f"the coordinator at {self.url} can't be reached ({error})",
                remedy="start it with `fedrela serve`, and check the address",
            ) from error
        if response.is_success:
            return response
        try:
            problem = response.json()
        except json.JSONDecodeError:
            problem = {}
        raise Refused(
            f"{method} {path}: {problem.get('detail', f'HTTP {response.status_code}')}",
            remedy=problem.get("remedy", "check the coordinator's log"),
            code=problem.get("code", f"http-{response.status_code}"),
            status=response.status_code,
        )
